"""Every outcome as one line in a file, so that a campaign that was ended goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.campaign.outcome import Outcome
from tests.campaign.schedule import Quota


@dataclass(frozen=True)
class Record:
    """What an earlier session made of the same code is counted again; of other code it is passed over."""

    file: Path
    subject: str

    def take_up(self, plan: list[Quota]) -> list[Outcome]:
        """The earlier outcomes that this plan asks for; they count for its quotas."""
        by_name = {quota.name: quota for quota in plan}
        found = [outcome for outcome in self._earlier() if outcome.spec["quota"] in by_name]
        for outcome in found:
            by_name[outcome.spec["quota"]].remember(outcome)
        return found

    def begin_anew(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)

    def keep(self, outcome: Outcome) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"subject": self.subject, **asdict(outcome)}, default=str) + "\n")

    def _earlier(self) -> Iterator[Outcome]:
        for line in _whole_lines(self.file):
            kept = json.loads(line)
            if kept.pop("subject") == self.subject:
                yield Outcome(**kept)


def _whole_lines(file: Path) -> Iterable[str]:
    """A campaign may have died within its last line, which is cut off here, or the next would be joined to it."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    return whole.splitlines()
