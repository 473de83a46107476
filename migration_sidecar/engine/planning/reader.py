"""Reads the status and the plan of a database by SQL and the history. It changes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING

from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.alembic_environment.revision_files import RevisionFiles
from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import (
    EnvironmentStillLoading,
    HistoryUnreadable,
    PlanChanged,
    ProblemError,
    RevisionNotApplied,
    UnknownTarget,
    WorkerUnavailable,
)
from migration_sidecar.contract.messages import (
    Action,
    AuditBacklog,
    DatabaseState,
    LockHolder,
    MigrationPlan,
    Operation,
    Problem,
    ServiceStatus,
)
from migration_sidecar.database.facts import DatabaseFacts, long_transactions
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.planning.database_state import NO_HISTORY, classify, is_settled
from migration_sidecar.engine.planning.known_when_it_runs import known_when_it_runs
from migration_sidecar.engine.planning.obstacles import find_obstacles
from migration_sidecar.engine.planning.preflight import (
    check_history,
    journal_in_sight,
    missing_grant_problem,
    warnings,
)
from migration_sidecar.engine.planning.prepared_facts import PreparedFacts
from migration_sidecar.engine.planning.version_tables import pending_count

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

LONG_TRANSACTION_SECONDS = 60
REFRESH_SECONDS = 2.0  # the longest wait for changed files; then the status uses the history read before
TO_BE_MIGRATED = {DatabaseState.BEHIND, DatabaseState.EMPTY}


def digest(service: str, action: Action, before: list[str], after: list[str], files: list[str]) -> str:
    """The digest that an approval or an operation agrees to: the files, where they begin, and where they end."""
    text = json.dumps([service, action, sorted(before), sorted(after), files], separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _steps(history: History, facts: DatabaseFacts, action: Action, target: str) -> list[RevisionFile]:
    """The revisions to run; empty for a database at a revision that these files do not know."""
    return history.between(action, facts.revisions, target) if history.knows(facts.revisions) else []


class StatusReader:
    """Reads status and plan of one service."""

    def __init__(
        self, settings: Settings, target_database: TargetDatabase, database: DatabasePool, revision_files: RevisionFiles
    ) -> None:
        self._settings = settings
        self._target_database = target_database
        self._database = database
        self._revision_files = revision_files
        self._prepared_facts = PreparedFacts(target_database)

    async def env_only_connects(self) -> bool:
        """Whether env.py has no effect of its own, so that it need not be run at head. Raises as the target does."""
        return (await self._target_database.resolve()).only_connects

    async def status(self, loading: LoadDeadline = UNLIMITED) -> ServiceStatus:
        """Never raises ProblemError: what could not be read is in `error`."""
        history, unreadable = self._revision_files.last_readable, None
        loading = replace(loading.or_after(REFRESH_SECONDS if history else inf), allow_unprobed=True)
        try:
            history = await self._revision_files.history(loading)
        except (HistoryUnreadable, WorkerUnavailable, EnvironmentStillLoading) as error:
            unreadable = error.problem
        try:
            facts, several, last, backlog = await self._facts_and_last(history or NO_HISTORY, loading)
        except ProblemError as error:
            heads = list(history.target_heads) if history else []
            return self._status(DatabaseState.UNREACHABLE, head_revisions=heads, error=error.problem)
        if self._target_database.is_assumed:
            at, heads = list(facts.revisions), list(history.target_heads) if history else []
            reason = unreadable or self._target_database.problem
            return self._status(DatabaseState.UNKNOWN, current_revisions=at, head_revisions=heads, error=reason)
        state = classify(facts, history)
        history = history or NO_HISTORY
        pending = _steps(history, facts, Action.UPGRADE, history.status_target)
        return self._status(
            state,
            facts.lock_holder,
            current_revisions=list(facts.revisions),
            head_revisions=list(history.target_heads),
            pending=[step.id for step in pending],
            last_outcome=last,
            audit_backlog=backlog,
            error=unreadable
            or check_history(state, facts, history)
            or self._target_database.problem
            or (await self.journal_problem(facts, loading) if state in TO_BE_MIGRATED else None)
            or several
            or self._target_database.unseen,
        )

    async def journal_problem(self, facts: DatabaseFacts, loading: LoadDeadline = UNLIMITED) -> Problem | None:
        """Why the journal cannot be kept in this database; None if it can."""
        migration_target = await self._target_database.resolve(loading)
        return missing_grant_problem(facts) or journal_in_sight(migration_target, has_journal=facts.has_journal)

    async def plan(
        self, action: Action, target: str, loading: LoadDeadline = UNLIMITED, *, beside_other_tables: bool = False
    ) -> MigrationPlan:
        """Raises DatabaseUnreachable, HistoryUnreadable or UnknownTarget; anything less is an obstacle in the plan."""
        await self._target_database.ask_for(action, target, loading)
        async with self._database.connection(loading=loading) as connection:
            words = {"with_waiting": True, "beside_other_tables": beside_other_tables}
            plan, _ = await self.agreed_plan_on(connection, action, target, loading, **words)
            return plan

    async def agreed_plan_on(
        self,
        connection: AnyConnection,
        action: Action,
        target: str,
        loading: LoadDeadline = UNLIMITED,
        *,
        with_waiting: bool = False,  # adds warnings about long transactions, for which the migration would wait
        beside_other_tables: bool = False,
    ) -> tuple[MigrationPlan, AgreedPlan]:
        """The plan, and the agreed plan that an operation accepted now is limited to, both from the same files."""
        history = await self._revision_files.history(loading)
        migration_target = await self._target_database.resolve(loading)
        facts, several = await self._facts(connection, action, target, loading)
        facts = replace(facts, beside_other_tables=facts.beside_other_tables or beside_other_tables)
        waiting = [facts.lock_holder] if facts.lock_holder else []
        waiting += await long_transactions(connection, LONG_TRANSACTION_SECONDS) if with_waiting else []
        before, agreed = list(facts.revisions), AgreedPlan.by(history, action, facts.revisions, target)
        after, steps = agreed.to_revisions, [history.revisions[each.id] for each in agreed.revisions]
        plan = MigrationPlan(
            service=self._settings.service,
            database=self._target_database.database,
            action=action,
            target=target,
            from_revisions=before,
            to_revisions=after,
            digest=digest(self._settings.service, action, before, after, [step.sha256 for step in steps]),
            revisions=[step.planned(action, autocommit=migration_target.autocommit) for step in steps],
            obstacles=find_obstacles(history, facts, migration_target, action, steps),
            warnings=[
                *warnings(steps, migration_target, waiting, has_journal=facts.has_journal),
                *known_when_it_runs(steps, action, history, facts),
                *([several] if several else []),
            ],
        )
        return plan, agreed.model_copy(update={"beside": facts.beside(history.makes, migration_target.tables)})

    async def _facts(
        self, connection: AnyConnection, action: Action, target: str, loading: LoadDeadline
    ) -> tuple[DatabaseFacts, Problem | None]:
        """The facts of the version table with the most to do, and a warning if the others differ."""
        tables = await self._target_database.all_records(loading)
        history = await self._revision_files.history(loading) if len(tables) > 1 else NO_HISTORY
        steps = partial(_steps, history, action=action, target=target)
        return await self._prepared_facts.read_most_behind(connection, tables, pending_count(history, steps), loading)

    async def agreed(self, record: Operation, loading: LoadDeadline = UNLIMITED) -> AgreedPlan:
        """The agreed plan of an operation that an older release accepted without storing it, from the current files."""
        return AgreedPlan.by(
            await self._revision_files.history(loading), record.action, record.from_revisions, record.target
        )

    async def facts(self, connection: AnyConnection, agreed: AgreedPlan, loading: LoadDeadline) -> DatabaseFacts:
        """The facts of the version table that is farthest from the agreed plan. The files may have changed since."""
        tables = await self._target_database.all_records(loading)
        history = NO_HISTORY
        if len(tables) > 1:
            with suppress(HistoryUnreadable):
                history = await self._revision_files.history(loading)
        distance = pending_count(
            history, lambda at: agreed.remaining(history, at.revisions), lambda at: agreed.is_reached(at.revisions)
        )
        facts, _ = await self._prepared_facts.read_most_behind(connection, tables, distance, loading)
        # What was judged when the operation was accepted is not judged by what it has made since.
        return replace(facts, beside_other_tables=facts.beside_other_tables or agreed.beside is not None)

    async def read_back(
        self, facts: DatabaseFacts, agreed: AgreedPlan, done: Collection[str] = (), loading: LoadDeadline = UNLIMITED
    ) -> tuple[int, list[Problem]]:
        """How many revisions of the agreed plan are left, and the obstacles.

        `done` are the revisions that the operation's journal rows name. They count if the files no longer know the
        database's revision.
        """
        if agreed.is_reached(facts.revisions):
            return 0, []
        undone = agreed.undone(facts.revisions, done)
        try:
            history = await self._revision_files.history(loading)
            if history.knows(facts.revisions):
                steps = agreed.remaining(history, facts.revisions)
                return len(steps), find_obstacles(
                    history, facts, await self._target_database.resolve(loading), agreed.action, steps
                )
        except (HistoryUnreadable, RevisionNotApplied, PlanChanged, UnknownTarget) as error:
            return len(undone), [error.problem]
        if agreed.revisions and not undone:
            return 0, []
        return len(undone), find_obstacles(
            history, facts, await self._target_database.resolve(loading), agreed.action, []
        )

    async def _facts_and_last(
        self, history: History, loading: LoadDeadline
    ) -> tuple[DatabaseFacts, Problem | None, Operation | None, AuditBacklog | None]:
        tables = await self._target_database.all_records(loading)
        async with self._database.connection(loading=loading) as connection:
            steps = partial(_steps, history, action=Action.UPGRADE, target=history.status_target)
            distance = pending_count(history, steps)
            facts, several = await self._prepared_facts.read_most_behind(connection, tables, distance, loading)
            readable = facts.has_journal and facts.missing_grant is None
            last = await tables[0].operations.last(connection) if readable else None
            # Without a Dapr sidecar no rows are sent, so there is no backlog.
            relays = readable and self._settings.dapr_http_port is not None
            backlog = await tables[0].journal.backlog(connection) if relays else None
            return is_settled(facts, last), several, last, backlog

    def _status(self, state: DatabaseState, holder: LockHolder | None = None, **more: object) -> ServiceStatus:
        facts = {"service": self._settings.service, "database": self._target_database.database, "lock_holder": holder}
        return ServiceStatus.model_validate({**facts, "state": state, **more})
