"""Keeps the history of the revision files at hand; it is read again only when a file changed."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from migration_sidecar.errors import HistoryUnreadable
from migration_sidecar.history import History
from migration_sidecar.messages import MigrationPlan
from migration_sidecar.warm import WarmProcesses

INSPECTION_SECONDS = 15.0  # loading revision files runs them, so it happens in a process that can be ended
HANGING_SECONDS = 20.0  # how long a file that never ended is believed to hang again, unless it changes

Fingerprint = tuple[tuple[str, int, int], ...]


class Scripts:
    """One per environment; loading happens in a child, so a broken or endless file harms nobody else."""

    def __init__(self, config_file: Path, section: str, processes: WarmProcesses) -> None:
        self._job = {"kind": "inspect", "config_file": str(config_file), "section": section}
        self._config_file = config_file
        self._processes = processes
        self._folders: list[Path] = []
        self._fingerprint: Fingerprint = ()
        self._history: History | None = None
        self._unreadable: HistoryUnreadable | None = None
        self._unreadable_until = 0.0
        self._loading = asyncio.Lock()

    async def history(self) -> History:
        """Raises HistoryUnreadable (CM-301 to CM-305)."""
        async with self._loading:
            if self._folders and self._fingerprint == self._look():
                if self._unreadable is not None and monotonic() < self._unreadable_until:
                    raise self._unreadable.with_traceback(None)
                if self._unreadable is None and self._history is not None:
                    return self._history
            return await self._load()

    def mark(self) -> str:
        """A mark of the files as they are now; the same mark later means the same files."""
        return sha256(repr(self._look()).encode()).hexdigest()

    @property
    def last_readable(self) -> History | None:
        """The history as it was when it could last be read; what a status falls back to."""
        return self._history

    async def with_sql(self, plan: MigrationPlan) -> MigrationPlan:
        """The plan with the SQL of each revision that can be rendered without a database."""
        wanted = [revision.id for revision in plan.revisions]
        job = {**self._job, "kind": "render", "revisions": wanted, "action": plan.action}
        answer = await self._processes.ask(job, timeout_seconds=INSPECTION_SECONDS)
        sql = answer["result"] if answer["event"] == "done" else {}
        revisions = [revision.model_copy(update={"sql": sql.get(revision.id)}) for revision in plan.revisions]
        return plan.model_copy(update={"revisions": revisions})

    async def _load(self) -> History:
        before, folders = self._look(), self._folders
        answer = await self._processes.ask(self._job, timeout_seconds=INSPECTION_SECONDS)
        self._folders = [Path(folder) for folder in answer.get("folders", [])] or folders
        # Files that changed while they were loaded are loaded again by the next caller.
        self._fingerprint = before if self._folders == folders else self._look()
        self._unreadable = _refusal(answer)
        self._unreadable_until = monotonic() + HANGING_SECONDS if "after_seconds" in answer else inf
        if self._unreadable is not None:
            raise self._unreadable
        self._history = History.from_inspection(answer["result"])
        return self._history

    def _look(self) -> Fingerprint:
        environments = [folder.parent / "env.py" for folder in self._folders]
        revisions = [file for folder in self._folders for file in folder.rglob("*.py")]
        files = [self._config_file, *environments, *revisions]
        return tuple(sorted((str(file), *self._stamp(file)) for file in files))

    @staticmethod
    def _stamp(file: Path) -> tuple[int, int]:
        try:
            status = file.stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_size)


def _refusal(answer: dict[str, Any]) -> HistoryUnreadable | None:
    if answer["event"] == "done":
        return None
    if answer["event"] == "failed":
        problem = answer["problem"]
        return HistoryUnreadable(problem["code"], problem["title"], problem["detail"], problem["next_step"])
    return HistoryUnreadable(
        "CM-304",
        "A revision file cannot be loaded",
        f"Loading the files did not end properly within {INSPECTION_SECONDS:.0f} s; no database was touched.",
        "Look for a file that exits or loops when it is imported.",
    )
