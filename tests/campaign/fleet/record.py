"""Every outcome as one line in a file, so that a campaign that was ended goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.fleet.planted import BUGS, Found
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
        return [Outcome(**each["outcome"]) for each in kept if each["subject"] == self.subject and "outcome" in each]

    def earlier_found(self) -> list[Found]:
        """Of planted bugs, by whom and how they were found."""
        kept = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        signs = {tuple(each["planted"]): each["sign"] for each in kept if "planted" in each}
        return [Found(bug, signs[bug.name, bug.by]) for bug in BUGS if (bug.name, bug.by) in signs]

    def keep_found(self, found: Found) -> None:
        self._write({"planted": [found.bug.name, found.bug.by], "sign": found.sign})

    def begin_anew(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)

    def keep(self, outcome: Outcome) -> None:
        self._write({"outcome": outcome.document()})

    def _write(self, line: dict[str, Any]) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"subject": self.subject, **line}, default=str) + "\n")
