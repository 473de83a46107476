"""Loads revision files and probes env.py in the background, because importing an application may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import TypeAlias, cast

from migration_sidecar.config.alembic_files import AlembicFiles
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import EnvironmentStillLoading, WorkerUnavailable
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.client import ForkserverClient
from migration_sidecar.protocol.jobs import AskedJob
from migration_sidecar.protocol.reports import ProblemFacts

# Of each file: name, time of change, size, inode. Equal stamps mean equal files, so no file is read again.
FileStates: TypeAlias = tuple[tuple[str, int, int, int, int], ...]

GRACE_SECONDS = 2.0  # the worker's own time limit comes first, because it can name the line
RETRY_SECONDS = 5.0  # how long a failed probe of env.py is not repeated, unless a file changes
HANGING_SECONDS = 20.0  # how long a load that timed out or was killed is not repeated, unless a file changes


@dataclass(frozen=True)
class LoadResult:
    """The answer of a worker about files. It is valid until `until`, a monotonic time, or until a file changes."""

    facts: Answer
    stamps: FileStates
    valid_until: float = inf
    error: WorkerUnavailable | None = None

    @property
    def timed_out(self) -> bool:
        """Whether the time limit passed."""
        return "after_seconds" in self.facts


NO_RESULT = LoadResult({"event": "gone"}, ())  # never valid: no files have these stamps


class EnvironmentLoader:
    """Loads and caches for one environment; all callers wait for one task.

    A probe of an env.py that is not ours gives both what it configures and the history.
    """

    def __init__(self, settings: Settings, forkserver: ForkserverClient) -> None:
        self._settings = settings
        self._forkserver = forkserver
        self._config = AlembicFiles(settings.config_file)
        self._probe = self._history = NO_RESULT
        self._wanted = self._probed_for = settings.command  # the arguments of the next probe, and of the last
        self._imported: list[Path] = []
        self._folders: list[Path] = []
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0

    async def probe_env(self, loading: LoadDeadline = UNLIMITED) -> LoadResult:
        """The last valid probe of env.py. Raises EnvironmentStillLoading."""
        if not self._is_valid(self._probe, self.imported()):
            await self._wait_for_fresh_result(loading, lambda: self._probe.stamps == self.imported())
        return self._probe

    async def probe_again(self, loading: LoadDeadline = UNLIMITED) -> bool:
        """Probes once more, although no file has changed. False if that failed; then the last result stays valid."""
        before, self._probe = self._probe, replace(self._probe, valid_until=0.0)
        heard = bool((await self.probe_env(loading)).facts.get("heard"))
        if not heard and before.facts.get("heard"):
            self._probe = before
        return heard

    async def probe_for(self, command: tuple[str, str], loading: LoadDeadline = UNLIMITED) -> None:
        """Probes with this action and target, unless they were those of a probe that is still valid."""
        for _ in range(2):  # a probe that was under way had other arguments
            if self._probed_for != command or not self._is_valid(self._probe, self.imported()):
                self._wanted, self._probe = command, replace(self._probe, valid_until=0.0)
                await self.probe_env(loading)

    async def history(self, loading: LoadDeadline = UNLIMITED) -> LoadResult:
        """The last valid answer about the revision files. Raises EnvironmentStillLoading or WorkerUnavailable."""
        if not self._is_valid(self._history, self.stamps()):
            await self._wait_for_fresh_result(loading, lambda: self._history.stamps == self.stamps())
        if self._history.error is not None:
            raise self._history.error.with_traceback(None)
        return self._history

    @property
    def is_exact(self) -> bool:
        """Whether the last probe had the arguments of one operation, so that another one may get further."""
        return self._probed_for is not None

    @property
    def named_folders(self) -> list[str]:
        """The folders of revisions that env.py set; empty before a successful probe, when the configuration decides."""
        return [str(folder) for folder in self._folders] if self._probe.facts.get("heard") else []

    @property
    def seconds(self) -> float:
        """How long the current loading has taken so far; 0 if nothing is being loaded."""
        return monotonic() - self._began if self._task is not None and not self._task.done() else 0.0

    async def stop(self) -> None:
        """Cancels the loading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def stamps(self) -> FileStates:
        """The current stamps of all files that the history depends on."""
        environments = [folder.parent / "env.py" for folder in self._folders]
        # With `sourceless`, compiled files stand for revisions; those in __pycache__ change whenever one is loaded.
        found = [file for folder in self._folders for file in (*folder.rglob("*.py"), *folder.rglob("*.pyc"))]
        revisions = [file for file in found if file.parent.name != "__pycache__"]
        return file_states_of([self._config.ini, self._config.toml, *environments, *revisions])

    def imported(self) -> FileStates:
        """The current stamps of all files that decide what env.py configures."""
        return file_states_of([self._config.ini, self._config.toml, *self._imported])

    def _is_valid(self, result: LoadResult, stamps: FileStates) -> bool:
        if result.stamps != stamps:
            return False
        if monotonic() >= result.valid_until and result.timed_out:
            self._ensure_task()  # loads again in the background; callers get the old answer meanwhile
            return True
        return monotonic() < result.valid_until

    async def _wait_for_fresh_result(self, loading: LoadDeadline, is_fresh: Callable[[], bool]) -> None:
        joined = self._task is not None and not self._task.done()
        await self._wait_for_task(loading)
        if joined and not is_fresh():  # that task had started before the last change
            await self._wait_for_task(loading)

    async def _wait_for_task(self, loading: LoadDeadline) -> None:
        task = self._ensure_task()
        done, _ = await asyncio.wait({task}, timeout=loading.seconds_left)
        if not done:
            raise EnvironmentStillLoading(self.seconds, self._settings.loading_seconds)
        task.result()

    def _ensure_task(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._began = monotonic()
            self._task = asyncio.create_task(self._load())
        return self._task

    async def _load(self) -> None:
        if not self._settings.uses_our_environment and not self._is_current(self._probe, self.imported()):
            await self._probe_env_file()
        if not self._is_current(self._history, self.stamps()):
            await self._inspect_revision_files()

    @staticmethod
    def _is_current(result: LoadResult, stamps: FileStates) -> bool:
        return result.stamps == stamps and monotonic() < result.valid_until

    async def _probe_env_file(self) -> None:
        before, history_before = self.imported(), self.stamps()
        began, imported, folders = monotonic(), self._imported, self._folders
        environment = self._settings.job_environment
        try:
            self._probed_for, self._wanted = self._wanted, self._settings.command
            action, target = self._probed_for or ("upgrade", "head")
            facts = await self._ask(
                {
                    "kind": "look",
                    "action": action,
                    "target": self._settings.target or target if target == "head" else target,
                    "is_exact": self._probed_for is not None,
                    "seconds": self._settings.loading_seconds,
                    **environment,
                }
            )
        except WorkerUnavailable as error:  # a status is shown all the same
            facts = {"event": "failed", "problem": cast(ProblemFacts, error.problem.model_dump())}
        self._imported = [Path(file) for file in facts.get("files", [])] or imported
        # If a file changed while it was loaded, the stamps differ and the next caller loads again.
        stamps = before if self._imported == imported else self.imported()
        again = monotonic() + max(RETRY_SECONDS, monotonic() - began)
        self._probe = LoadResult(facts, stamps, inf if facts.get("heard") and "unseen" not in facts else again)
        if facts.get("heard"):
            self._store_history(facts, folders, history_before)

    async def _inspect_revision_files(self) -> None:
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
        except WorkerUnavailable as error:
            self._history = LoadResult({"event": "failed"}, before, monotonic(), error)
            return
        self._store_history(facts, folders, before)

    def _store_history(self, facts: Answer, folders: list[Path], before: FileStates) -> None:
        self._folders = [Path(folder) for folder in facts.get("folders", [])] or folders
        stamps = before if self._folders == folders else self.stamps()
        until = inf
        if "after_seconds" in facts:
            until = monotonic() + max(HANGING_SECONDS, 2 * self._settings.loading_seconds)
        elif was_killed(facts):
            until = monotonic() + HANGING_SECONDS
        self._history = LoadResult(facts, stamps, until)

    async def _ask(self, job: AskedJob) -> Answer:
        return await self._forkserver.ask(job, timeout_seconds=self._settings.loading_seconds + GRACE_SECONDS)


def file_states_of(files: Iterable[Path]) -> FileStates:
    """Inode and time of change too: a file may be replaced by one of the same size within the same second."""
    return tuple(sorted((str(file), *_file_state(file)) for file in files))


def _file_state(file: Path) -> tuple[int, int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
