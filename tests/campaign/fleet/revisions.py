"""The histories of the services during a campaign: each run adds revisions that leave marks when they are applied.

A mark is a row that the revision itself writes, so that what was done can be read without asking anything of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.ground import newest_id

MARKS = "marks"
TABLE = (
    "CREATE TABLE marks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, revision text NOT NULL,"
    " part integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
)
BROKEN = 'op.execute("SELECT 1/0")'


@dataclass
class History:
    """All revisions of one service from `marks` on, oldest first."""

    versions: Path
    ids: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @classmethod
    def begun(cls, sources: Path, folder: str) -> History:
        history = cls(sources / "services" / folder / "alembic" / "versions")
        newest = max(path.stem for path in history.versions.glob("0*.py"))
        history._write(MARKS, newest_id(history.versions / f"{newest}.py"), f'op.execute("{TABLE}")', "pass")
        history.ids.append(MARKS)
        return history

    def add(self, revision: str, seconds: float, *, broken: bool = False) -> None:
        """A revision on top of the newest one; a broken one fails after its first mark."""
        self._write(revision, self.ids[-1], _upgrade(revision, seconds, broken), _marked(revision, -1))
        self.ids.append(revision)
        self.broken |= {revision} if broken else set()

    def repair(self) -> None:
        """Corrects what was broken; it was never applied."""
        for revision in self.broken:
            file = self.file(revision)
            file.write_text(file.read_text().replace(BROKEN, "pass"))
        self.broken.clear()

    def change(self, revision: str) -> None:
        """Another file, which does the same."""
        file = self.file(revision)
        file.write_text(file.read_text() + "\n# changed after it was approved\n")

    def up_to(self, revision: str) -> list[str]:
        """What is applied in a database at this revision; nothing of ours below `marks`."""
        return self.ids[1 : self.ids.index(revision) + 1] if revision in self.ids else []

    def file(self, revision: str) -> Path:
        return self.versions / f"9{revision}.py"

    def _write(self, revision: str, below: str, upgrade: str, downgrade: str) -> None:
        unfinished = self.versions / f"{revision}.unfinished"
        unfinished.write_text(
            f'"""{revision}"""\n\nfrom alembic import op\n\nrevision = "{revision}"\ndown_revision = "{below}"\n'
            f"branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    {upgrade}\n\n\n"
            f"def downgrade():\n    {downgrade}\n"
        )
        unfinished.replace(self.file(revision))


def _upgrade(revision: str, seconds: float, broken: bool) -> str:
    middle = f'op.execute("SELECT pg_sleep({seconds:.2f})")'
    last = BROKEN if broken else "pass"
    return "\n    ".join((_marked(revision, 1), middle, last, _marked(revision, 2)))


def _marked(revision: str, part: int) -> str:
    return f"op.execute(\"INSERT INTO marks (revision, part) VALUES ('{revision}', {part})\")"
