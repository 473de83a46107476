"""The history of the revision files, as it is and as it was when it could last be read."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.alembic_environment.loader import Loading, Told
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import HistoryUnreadable
from migration_sidecar.contract.messages import Action, MigrationPlan
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.client import WarmProcesses
from migration_sidecar.protocol.jobs import AskedJob
from migration_sidecar.protocol.results import HistoryFacts, ResolvedTarget


class Scripts:
    """One per environment; loading happens in a child, so a broken or endless file harms nobody else."""

    def __init__(self, settings: Settings, processes: WarmProcesses, loading: Loading) -> None:
        self._settings = settings
        self._processes = processes
        self._loading = loading
        self._told: Told | None = None
        self._history: History | None = None

    async def history(self) -> History:
        """Raises HistoryUnreadable (CM-301 to CM-305), StillLoading or NoProcess."""
        told = await self._loading.history()
        if told.facts["event"] != "done":
            raise _unreadable(told.facts)
        if told is not self._told or self._history is None:
            self._told, self._history = told, History.from_inspection(cast(HistoryFacts, told.facts["result"]))
        return self._history

    def mark(self) -> str:
        """A mark of all files as they are now, what env.py imports too; the same mark later means the same files."""
        return sha256(repr((self._loading.stamps(), self._loading.imported())).encode()).hexdigest()

    @property
    def last_readable(self) -> History | None:
        """The history as it was when it could last be read; what a status falls back to."""
        return self._history

    async def with_sql(self, plan: MigrationPlan) -> MigrationPlan:
        """The plan with the SQL of each revision that can be rendered without a database."""
        wanted = [revision.id for revision in plan.revisions]
        answer = await self._ask(
            {
                "kind": "render",
                "revisions": wanted,
                "action": plan.action,
                "folders": self._loading.named_folders,
                **self._settings.job_environment,
            }
        )
        sql = cast(dict[str, str], answer["result"]) if answer["event"] == "done" else {}
        revisions = [revision.model_copy(update={"sql": sql.get(revision.id)}) for revision in plan.revisions]
        return plan.model_copy(update={"revisions": revisions})

    async def resolve(self, action: Action, target: str, revisions: list[str]) -> str:
        """What a person writes as a target, as one that stays the same; raises ProblemError (CM-203, CM-205)."""
        answer = await self._ask(
            {
                "kind": "resolve",
                "action": action,
                "target": target,
                "revisions": revisions,
                "folders": self._loading.named_folders,
                **self._settings.job_environment,
            }
        )
        if answer["event"] != "done":
            raise _unreadable(answer)
        return cast(ResolvedTarget, answer["result"])["target"]

    async def _ask(self, job: AskedJob) -> Answer:
        return await self._processes.ask(job, timeout_seconds=self._settings.loading_seconds)


def _unreadable(answer: Answer) -> HistoryUnreadable:
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
