"""The history of an environment, and the jobs that need its revision files."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.alembic_environment.loader import EnvironmentLoader, LoadResult
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import HistoryUnreadable
from migration_sidecar.contract.messages import Action, MigrationPlan, Problem
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.client import ForkserverClient
from migration_sidecar.protocol.jobs import AskedJob
from migration_sidecar.protocol.results import HistoryFacts, ResolvedTarget


class RevisionFiles:
    """One per environment. Files are loaded in a worker process, so a broken or endless one cannot harm the service."""

    def __init__(self, settings: Settings, forkserver: ForkserverClient, loader: EnvironmentLoader) -> None:
        self._settings = settings
        self._forkserver = forkserver
        self._loader = loader
        self._last_answer: LoadResult | None = None
        self._history: History | None = None

    async def history(self, loading: LoadDeadline = UNLIMITED) -> History:
        """Raises HistoryUnreadable (CM-301 to CM-305), EnvironmentStillLoading or WorkerUnavailable."""
        answer = await self._loader.history(loading)
        if answer.facts["event"] != "done":
            raise _unreadable(answer.facts)
        if answer is not self._last_answer or self._history is None:
            self._history = History.from_inspection(cast(HistoryFacts, answer.facts["result"]))
            self._last_answer = answer
        return self._history

    def fingerprint(self) -> str:
        """A digest of the stamps of all files, with those that env.py imports. It changes when a file changes."""
        return sha256(repr((self._loader.stamps(), self._loader.imported())).encode()).hexdigest()

    @property
    def last_readable(self) -> History | None:
        """The history when it could last be loaded, for a status while it cannot; None before that."""
        return self._history

    async def with_sql(self, plan: MigrationPlan) -> MigrationPlan:
        """The plan with the SQL of each revision for which no connection is needed."""
        wanted = [revision.id for revision in plan.revisions]
        answer = await self._ask(
            {
                "kind": "render",
                "revisions": wanted,
                "action": plan.action,
                "folders": self._loader.named_folders,
                **self._settings.job_environment,
            }
        )
        sql = cast(dict[str, str], answer["result"]) if answer["event"] == "done" else {}
        revisions = [revision.model_copy(update={"sql": sql.get(revision.id)}) for revision in plan.revisions]
        return plan.model_copy(update={"revisions": revisions})

    async def resolve(self, action: Action, target: str, revisions: list[str]) -> str:
        """The absolute target for one such as `+1`. Raises HistoryUnreadable, mostly with CM-203 or CM-205."""
        answer = await self._ask(
            {
                "kind": "resolve",
                "action": action,
                "target": target,
                "revisions": revisions,
                "folders": self._loader.named_folders,
                **self._settings.job_environment,
            }
        )
        if answer["event"] != "done":
            raise _unreadable(answer)
        return cast(ResolvedTarget, answer["result"])["target"]

    async def _ask(self, job: AskedJob) -> Answer:
        return await self._forkserver.ask(job, timeout_seconds=self._settings.loading_seconds)


def _unreadable(answer: Answer) -> HistoryUnreadable:
    if answer["event"] == "failed":
        return HistoryUnreadable.of(Problem.of(**answer["problem"]))
    where = f"{answer['file']}: " if "file" in answer else ""
    reason = "it was not loaded in time" if "after_seconds" in answer else "it ended the process that loaded it"
    reason = "the process that loaded it was killed, twice" if was_killed(answer) else reason
    return HistoryUnreadable(
        "CM-304",
        f"{where}{reason}; no database was touched.",
        next_step="Look for what exits or loops when that file is imported.",
    )
