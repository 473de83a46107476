"""The history of an environment, and the jobs that need its revision files."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.alembic_environment.loader import EnvironmentLoader, LoadResult
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import HistoryUnreadable, UnknownTarget
from migration_sidecar.contract.messages import Action, MigrationPlan, Problem
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.forkserver.answer import OUT_OF_MEMORY, Answer, was_killed
from migration_sidecar.forkserver.client import ForkserverClient
from migration_sidecar.protocol.jobs import AskedJob, RevisionLine
from migration_sidecar.protocol.results import HistoryFacts, RenderedSql, ResolvedTarget


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
            history = History.from_inspection(cast(HistoryFacts, answer.facts["result"]), self._settings.target)
            _require_target(history)
            self._history, self._last_answer = history, answer
        return self._history

    def fingerprint(self) -> str:
        """A digest of the stamps of all files, with those that env.py imports. It changes when a file changes."""
        return sha256(repr((self._loader.stamps(), self._loader.imported())).encode()).hexdigest()

    @property
    def last_readable(self) -> History | None:
        """The history when it could last be loaded, for a status while it cannot; None before that."""
        return self._history

    async def with_sql(self, plan: MigrationPlan) -> MigrationPlan:
        """The plan with the SQL of each revision, or the reason why it cannot be rendered without a connection."""
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
        if answer["event"] != "done":
            raise _unreadable(answer)
        rendered = cast(dict[str, RenderedSql], answer["result"])
        revisions = [
            revision.model_copy(update={"sql": one["sql"], "no_sql": one["reason"]})
            for revision in plan.revisions
            for one in [rendered[revision.id]]
        ]
        return plan.model_copy(update={"revisions": revisions})

    async def resolve(self, action: Action, target: str, revisions: list[str]) -> str:
        """The absolute target for one such as `+1`. Raises HistoryUnreadable, mostly with CM-203 or CM-205."""
        answer = await self._ask(
            {
                "kind": "resolve",
                "action": action,
                "target": target,
                "revisions": revisions,
                **self._settings.job_environment,
            },
            _lines(await self.history()),
        )
        if answer["event"] != "done":
            raise _unreadable(answer)
        return cast(ResolvedTarget, answer["result"])["target"]

    async def _ask(self, job: AskedJob, message: object = None) -> Answer:
        return await self._forkserver.ask(job, timeout_seconds=self._settings.loading_seconds, message=message)


def _lines(history: History) -> list[RevisionLine]:
    return [(file.id, list(file.down), list(file.depends_on), list(file.labels)) for file in history.revisions.values()]


def _require_target(history: History) -> None:
    """Raises HistoryUnreadable if the setting `target` names nothing in this history, or several heads."""
    try:
        found = history.target_heads
    except UnknownTarget:
        found = ()
    if not found:
        raise HistoryUnreadable(
            "CM-701",
            f"target: {history.default_target!r} is no revision and no branch of this history.",
            next_step="Name a full revision id, LABEL@head, or heads.",
        )


def _unreadable(answer: Answer) -> HistoryUnreadable:
    if answer["event"] == "failed":
        return HistoryUnreadable.of(Problem.of(**answer["problem"]))
    if "after_seconds" in answer:
        last = f"; the last one begun was {answer['file']}" if "file" in answer else ""
        return HistoryUnreadable(
            "CM-304",
            f"The revision files were not loaded after {answer['after_seconds']:.0f} s{last}; no database was touched.",
            next_step="If they only need more time, raise loading_seconds (--loading-seconds,"
            " MIGRATION_LOADING_SECONDS); otherwise look for a loop or a wait.",
        )
    where = f"{answer['file']}: " if "file" in answer else ""
    if answer.get("over_memory"):
        detail = f"{where}it used more memory than memory_limit_mb allows; no database was touched."
        return HistoryUnreadable("CM-304", detail, next_step=OUT_OF_MEMORY)
    reason = (
        "the process that loaded it was killed, twice" if was_killed(answer) else "it ended the process that loaded it"
    )
    return HistoryUnreadable(
        "CM-304",
        f"{where}{reason}; no database was touched.",
        next_step="Look for what exits when that file is imported.",
    )
