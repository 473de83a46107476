"""A dead letter: an event that did not become a run, why not, and the run that somebody made of it later."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.domain.audit_events import Actor, conflict_id, rejection_id
from coordinator.domain.dead_letters.kept_text import kept_text, kept_words
from coordinator.domain.dead_letters.refusals import LetterNotResubmittable
from coordinator.domain.permissions import Requester
from coordinator.domain.request import MigrationRequest
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.domain.run_index import RequestId
from coordinator.errors import CoordinatorError, IdempotencyConflict
from migration_sidecar.contract.messages import Problem

# Far more than most reasons have; one that names every service of a large fleet is cut.
MOST_OF_A_REASON = 2000


class BecameRun(BaseModel):
    """The run that was asked for with a letter, when, and by whom; by nobody where it was taken at last."""

    model_config = ConfigDict(frozen=True)

    request_id: RequestId
    at: datetime
    by: str | None = None
    basis: str | None = None  # how that name is known

    @property
    def actor(self) -> Actor:
        """Who has resubmitted, for an event of the audit."""
        return Actor(None, self.by, self.basis)


class DeadLetter(BaseModel):
    """The record of one letter. It is frozen: every method that changes something returns a new one."""

    model_config = ConfigDict(frozen=True)

    id: UUID  # that of the event about its refusal in the audit
    request_id: RequestId | None = None  # as `coordinator status` knows it
    event_id: str | None = None
    source: str | None = None
    published_by: str | None = None  # whose signature it bore, if anybody's
    first_at: datetime
    last_at: datetime
    times: int = 1
    reason: Problem
    body_bytes: int
    body_sha256: str
    event: str  # what may be kept of it
    is_whole: bool  # whether that is all of it
    run: BecameRun | None = None
    is_signed: bool | None = Field(default=None, exclude_if=lambda known: known is None)

    def again(self, newer: DeadLetter, *, times: int) -> DeadLetter:
        """After it came `times` more. What is kept is what came last, unless that is a run already."""
        counted = {"first_at": self.first_at, "times": self.times + times}
        if self.run is not None:
            return self.model_copy(update={**counted, "last_at": newer.last_at})
        return newer.model_copy(update=counted)

    def request(self, request_id: str | None = None) -> MigrationRequest:
        """The request in it by the rules of today, under the id of the run that it became, or under the one given.

        Raises LetterNotResubmittable (CM-605), or what is still wrong with the event.
        """
        self.require_ours()
        if not self.is_whole:
            raise LetterNotResubmittable(f"Of its {self.body_bytes} bytes only the beginning was kept.")
        wanted = request_id or (self.run.request_id if self.run else None)
        return ReceivedEvent.parse(self.event.encode()).request(wanted)

    def require_ours(self) -> None:
        """Raises LetterNotResubmittable for a letter that nobody can tell whether the coordinator has written."""
        if self.is_signed is False:
            raise LetterNotResubmittable(
                "What is kept of it does not bear the coordinator's signature: its key was retired, or somebody else "
                "has written it."
            )

    def counted(self, times: int) -> DeadLetter:
        """A new letter, after it came so many times."""
        return self.model_copy(update={"times": max(1, times)})

    def becoming(self, run: BecameRun) -> DeadLetter:
        """With the run that it becomes; the first one stands. Raises LetterNotResubmittable for a second one."""
        if self.run is None:
            return self.model_copy(update={"run": run})
        if self.run.request_id != run.request_id:
            raise LetterNotResubmittable(f"It was resubmitted as {self.run.request_id} already.")
        return self

    def without_run(self, request_id: str) -> DeadLetter:
        """Without this run, which was refused after all."""
        if self.run is None or self.run.request_id != request_id:
            return self
        return self.model_copy(update={"run": None})


def letter_id(event: ReceivedEvent, error: CoordinatorError | None = None) -> UUID:
    """The same for every delivery of the event. Of a conflict it depends on the body, too."""
    if isinstance(error, IdempotencyConflict):
        asked = event.request()
        return conflict_id(asked.request_id, asked.digest)
    return rejection_id(event.identity.key)


def letter_of(event: ReceivedEvent, error: CoordinatorError, now: datetime, publisher: Requester | None) -> DeadLetter:
    """The letter that is kept of an event; `error` says why it is no run."""
    text, is_whole = kept_text(event)
    problem = error.problem()
    said = {"detail": kept_words(problem.detail, MOST_OF_A_REASON), "service": kept_words(problem.service)}
    return DeadLetter(
        id=letter_id(event, error),
        request_id=event.identity.request_id,
        event_id=kept_words(event.attributes.get("id")),
        source=kept_words(event.attributes.get("source")),
        published_by=publisher.name if publisher else None,
        first_at=now,
        last_at=now,
        reason=problem.model_copy(update={**said, "server_message": None}),
        body_bytes=len(event.body),
        body_sha256=hashlib.sha256(event.body).hexdigest(),
        event=text,
        is_whole=is_whole,
    )


def read_letter(value: Any) -> DeadLetter | None:
    """The letter in a document; None where it is none."""
    try:
        return DeadLetter.model_validate(value)
    except (ValidationError, RecursionError):
        return None
