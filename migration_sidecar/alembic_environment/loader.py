"""Loads revision files and asks somebody else's env.py, in the background: the application behind it may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic
from typing import cast

from migration_sidecar.alembic_environment.file_stamps import Stamps, stamps_of
from migration_sidecar.alembic_environment.load_deadline import seconds_left
from migration_sidecar.config.alembic_files import ConfigFiles
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import NoProcess, StillLoading
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.client import WarmProcesses
from migration_sidecar.protocol.jobs import AskedJob
from migration_sidecar.protocol.reports import ProblemFacts

GRACE_SECONDS = 2.0  # the process gives up first, because it can say at which line
AGAIN_SECONDS = 5.0  # how long an env.py that could not be asked is left alone, unless a file changes
HANGING_SECONDS = 20.0  # how long a file that never ended, or was killed, is believed to again, unless it changes


@dataclass(frozen=True)
class Told:
    """What a process told of files; it holds until one of them changes."""

    facts: Answer
    stamps: Stamps
    until: float = inf
    error: NoProcess | None = None

    @property
    def hung(self) -> bool:
        return "after_seconds" in self.facts


NOTHING = Told({"event": "gone"}, ())  # no files have these stamps


class Loading:
    """One task for everybody who waits; env.py that is not ours is run once for what it configures and its history."""

    def __init__(self, settings: Settings, processes: WarmProcesses) -> None:
        self._settings = settings
        self._processes = processes
        self._config = ConfigFiles(settings.config_file)
        self._look = self._history = NOTHING
        self._imported: list[Path] = []
        self._folders: list[Path] = []
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0

    async def look(self) -> Told:
        """What somebody else's env.py configures; raises StillLoading."""
        if not self._holds(self._look, self.imported()):
            await self._loaded(lambda: self._look.stamps == self.imported())
        return self._look

    async def history(self) -> Told:
        """The revision files as env.py sees them; raises StillLoading or NoProcess."""
        if not self._holds(self._history, self.stamps()):
            await self._loaded(lambda: self._history.stamps == self.stamps())
        if self._history.error is not None:
            raise self._history.error.with_traceback(None)
        return self._history

    @property
    def named_folders(self) -> list[str]:
        """Where the revision files are by the word of an env.py that was heard; nothing where it is for the ini."""
        return [str(folder) for folder in self._folders] if self._look.facts.get("heard") else []

    @property
    def seconds(self) -> float:
        """For how long something has been loaded now; 0 when nothing is."""
        return monotonic() - self._began if self._task is not None and not self._task.done() else 0.0

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def stamps(self) -> Stamps:
        """Of every file that the history depends on, as they are now."""
        environments = [folder.parent / "env.py" for folder in self._folders]
        revisions = [file for folder in self._folders for file in folder.rglob("*.py")]
        return stamps_of([self._config.ini, self._config.toml, *environments, *revisions])

    def imported(self) -> Stamps:
        """Of every file that decides what env.py configures."""
        return stamps_of([self._config.ini, self._config.toml, *self._imported])

    def _holds(self, told: Told, stamps: Stamps) -> bool:
        if told.stamps != stamps:
            return False
        if monotonic() >= told.until and told.hung:
            self._under_way()  # nobody waits for the same loop again
            return True
        return monotonic() < told.until

    async def _loaded(self, is_fresh: Callable[[], bool]) -> None:
        joined = self._task is not None and not self._task.done()
        await self._wait()
        if joined and not is_fresh():  # it was begun before the last change
            await self._wait()

    async def _wait(self) -> None:
        task = self._under_way()
        done, _ = await asyncio.wait({task}, timeout=seconds_left())
        if not done:
            raise StillLoading(self.seconds, self._settings.loading_seconds)
        task.result()

    def _under_way(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._began = monotonic()
            self._task = asyncio.create_task(self._load())
        return self._task

    async def _load(self) -> None:
        if not self._settings.is_our_own and not self._is_current(self._look, self.imported()):
            await self._ask_env_file()
        if not self._is_current(self._history, self.stamps()):
            await self._ask_files()

    @staticmethod
    def _is_current(told: Told, stamps: Stamps) -> bool:
        return told.stamps == stamps and monotonic() < told.until

    async def _ask_env_file(self) -> None:
        before, history_before = self.imported(), self.stamps()
        began, imported, folders = monotonic(), self._imported, self._folders
        environment = self._settings.job_environment
        try:
            facts = await self._ask({"kind": "look", "seconds": self._settings.loading_seconds, **environment})
        except NoProcess as error:  # the status is still told
            facts = {"event": "failed", "problem": cast(ProblemFacts, error.problem.model_dump())}
        self._imported = [Path(file) for file in facts.get("files", [])] or imported
        # Files that changed while they were loaded are loaded again by the next caller.
        stamps = before if self._imported == imported else self.imported()
        again = monotonic() + max(AGAIN_SECONDS, monotonic() - began)
        self._look = Told(facts, stamps, inf if facts.get("heard") else again)
        if facts.get("heard"):
            self._keep_history(facts, folders, history_before)

    async def _ask_files(self) -> None:
        before, folders = self.stamps(), self._folders
        try:
            facts = await self._ask(
                {
                    "kind": "inspect",
                    "seconds": self._settings.loading_seconds,
                    "folders": self.named_folders,
                    **self._settings.job_environment,
                }
            )
        except NoProcess as error:
            self._history = Told({"event": "failed"}, before, monotonic(), error)
            return
        self._keep_history(facts, folders, before)

    def _keep_history(self, facts: Answer, folders: list[Path], before: Stamps) -> None:
        self._folders = [Path(folder) for folder in facts.get("folders", [])] or folders
        stamps = before if self._folders == folders else self.stamps()
        until = inf
        if "after_seconds" in facts:
            until = monotonic() + max(HANGING_SECONDS, 2 * self._settings.loading_seconds)
        elif was_killed(facts):
            until = monotonic() + HANGING_SECONDS
        self._history = Told(facts, stamps, until)

    async def _ask(self, job: AskedJob) -> Answer:
        return await self._processes.ask(job, timeout_seconds=self._settings.loading_seconds + GRACE_SECONDS)
