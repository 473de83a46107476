"""Every outcome as one line in a file, so that a campaign that was ended goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.fleet.runs import Outcome


@dataclass(frozen=True)
class Record:
    """What an earlier session made of the same code counts; of other code it is passed over."""

    file: Path
    subject: str

    def earlier(self) -> list[Outcome]:
        if not self.file.exists():
            return []
        text = self.file.read_text()
        whole = text[: text.rfind("\n") + 1]  # a session may have died within its last line
        if whole != text:
            self.file.write_text(whole)
        kept = [json.loads(line) for line in whole.splitlines()]
        return [Outcome(**each["outcome"]) for each in kept if each["subject"] == self.subject]

    def begin_anew(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)

    def keep(self, outcome: Outcome) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"subject": self.subject, "outcome": outcome.document()}, default=str) + "\n")
