"""Keeps the history of the revision files at hand; it is read again only when a file changed."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from migration_sidecar.config_files import ConfigFiles
from migration_sidecar.errors import HistoryUnreadable
from migration_sidecar.history import History
from migration_sidecar.messages import Action, MigrationPlan
from migration_sidecar.settings import Settings
from migration_sidecar.stamps import Stamps, stamps_of
from migration_sidecar.warm import WarmProcesses, was_killed

INSPECTION_SECONDS = 15.0  # loading revision files runs them, so it happens in a process that can be ended
HANGING_SECONDS = 20.0  # how long a file that never ended, or was killed, is believed to again, unless it changes


class Scripts:
    """One per environment; loading happens in a child, so a broken or endless file harms nobody else."""

    def __init__(self, settings: Settings, processes: WarmProcesses) -> None:
        self._settings = settings
        self._files = ConfigFiles(settings.config_file)
        self._processes = processes
        self._folders: list[Path] = []
        self._fingerprint: Stamps = ()
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
        job = self._settings.job("render", revisions=wanted, action=plan.action)
        answer = await self._processes.ask(job, timeout_seconds=INSPECTION_SECONDS)
        sql = answer["result"] if answer["event"] == "done" else {}
        revisions = [revision.model_copy(update={"sql": sql.get(revision.id)}) for revision in plan.revisions]
        return plan.model_copy(update={"revisions": revisions})

    async def resolve(self, action: Action, target: str, revisions: list[str]) -> str:
        """What a person writes as a target, as one that stays the same; raises ProblemError (CM-203, CM-205)."""
        job = self._settings.job("resolve", action=action, target=target, revisions=revisions)
        answer = await self._processes.ask(job, timeout_seconds=INSPECTION_SECONDS)
        if answer["event"] != "done":
            raise _unreadable(answer)
        absolute: str = answer["result"]["target"]
        return absolute

    async def _load(self) -> History:
        before, folders = self._look(), self._folders
        # The process gives up first, because it can say at which line.
        job = self._settings.job("inspect", seconds=INSPECTION_SECONDS * 0.8)
        answer = await self._processes.ask(job, timeout_seconds=INSPECTION_SECONDS)
        self._folders = [Path(folder) for folder in answer.get("folders", [])] or folders
        # Files that changed while they were loaded are loaded again by the next caller.
        self._fingerprint = before if self._folders == folders else self._look()
        self._unreadable = None if answer["event"] == "done" else _unreadable(answer)
        passes = "after_seconds" in answer or was_killed(answer)
        self._unreadable_until = monotonic() + HANGING_SECONDS if passes else inf
        if self._unreadable is not None:
            raise self._unreadable
        self._history = History.from_inspection(answer["result"])
        return self._history

    def _look(self) -> Stamps:
        environments = [folder.parent / "env.py" for folder in self._folders]
        revisions = [file for folder in self._folders for file in folder.rglob("*.py")]
        return stamps_of([self._files.ini, self._files.toml, *environments, *revisions])


def _unreadable(answer: dict[str, Any]) -> HistoryUnreadable:
    if answer["event"] == "failed":
        problem = answer["problem"]
        return HistoryUnreadable(problem["code"], problem["title"], problem["detail"], problem["next_step"])
    where = f"{answer['file']}: " if "file" in answer else ""
    reason = "it was not loaded in time" if "after_seconds" in answer else "it ended the process that loaded it"
    reason = "the process that loaded it was killed, twice" if was_killed(answer) else reason
    return HistoryUnreadable(
        "CM-304",
        "A revision file cannot be loaded",
        f"{where}{reason}; no database was touched.",
        "Look for what exits or loops when that file is imported.",
    )
