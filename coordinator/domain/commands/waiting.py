"""What a run waits for: the kind as data, one sentence for people, since when, until when, and what happens then."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class WaitingKind(StrEnum):
    """The reasons for which a run is held."""

    APPROVAL = "approval"
    PAUSED = "paused"
    QUEUE = "queue"  # an earlier run has one of its services
    NOT_BEFORE = "not_before"
    WINDOW = "window"  # a maintenance window is closed, or a freeze holds
    WAVE = "wave"  # the pause between two waves
    AUDIT = "audit"  # nothing starts that cannot be recorded


NEXT = {
    WaitingKind.APPROVAL: "It starts once somebody else approves this plan; coordinator approve names its digest.",
    WaitingKind.PAUSED: "It goes on when somebody resumes it.",
    WaitingKind.QUEUE: "It starts by itself when that run has ended.",
    WaitingKind.NOT_BEFORE: "It starts by itself then.",
    WaitingKind.WINDOW: "It goes on by itself when the window opens.",
    WaitingKind.WAVE: "The next wave starts by itself then, or when somebody resumes it.",
    WaitingKind.AUDIT: "It goes on by itself once the audit can be written.",
}


class Waiting(BaseModel):
    """Why a run is held. `next` says what happens then, and who has to do something if anybody has."""

    model_config = ConfigDict(frozen=True)

    kind: WaitingKind
    sentence: str
    since: datetime
    until: datetime | None = None
    next: str

    @classmethod
    def of(cls, kind: WaitingKind, sentence: str, now: datetime, until: datetime | None = None) -> Waiting:
        """A new reason; `since` is now."""
        return cls(kind=kind, sentence=sentence, since=now, until=until, next=NEXT[kind])

    def after(self, before: Waiting | None) -> Waiting:
        """The same reason goes on: it keeps the time since when the run waits for it."""
        same = before is not None and (before.kind, before.sentence) == (self.kind, self.sentence)
        return self.model_copy(update={"since": before.since}) if before is not None and same else self
