"""What a database is at and what would happen to it: read by SQL against the known history, touching nothing."""

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
from migration_sidecar.alembic_environment.target_database import MigrationTarget, TargetDatabase
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
    OperationState,
    Problem,
    ServiceStatus,
)
from migration_sidecar.database.facts import DatabaseFacts, long_transactions
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.planning.preflight import (
    check_database,
    check_history,
    check_revision_files,
    no_records,
    warnings,
)
from migration_sidecar.engine.planning.version_tables import pending_count, read_most_behind
from migration_sidecar.protocol.attempt import session_name

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

LONG_TRANSACTION_SECONDS = 60
REFRESH_SECONDS = 2.0  # a changed file is waited for; after that the status tells what could be read before
NO_HISTORY = History(heads=(), revisions={})
TO_BE_MIGRATED = {DatabaseState.BEHIND, DatabaseState.EMPTY}


def classify(facts: DatabaseFacts, history: History | None) -> DatabaseState:
    """Where a database stands; the lock decides first, because a migrating database has no settled state."""
    if facts.lock_holder is not None:
        return DatabaseState.MIGRATING
    if not facts.has_version_column:
        return DatabaseState.FOREIGN
    if history is None and facts.revisions:
        return DatabaseState.UNKNOWN
    history = history or NO_HISTORY
    if not set(facts.revisions) <= set(history.revisions):
        # A database that our own journal wrote to was ours: this image is older than it.
        return DatabaseState.AHEAD if facts.is_ours else DatabaseState.FOREIGN
    if not facts.revisions:
        return DatabaseState.UNMANAGED if facts.is_unmanaged(history.file_hashes) else DatabaseState.EMPTY
    at_head = set(history.heads) <= history.ancestors(facts.revisions)
    return DatabaseState.AT_HEAD if at_head else DatabaseState.BEHIND


def is_settled(facts: DatabaseFacts, last: Operation | None) -> DatabaseFacts:
    """Without a holder whose operation has succeeded: that session is only just ending."""
    if last is None or last.state is not OperationState.SUCCEEDED or facts.lock_holder is None:
        return facts
    just_ending = facts.lock_holder.application == session_name(last.operation_id)
    return replace(facts, lock_holder=None) if just_ending else facts


def digest(service: str, action: Action, before: list[str], after: list[str], files: list[str]) -> str:
    """What an approval or an operation agrees to: the same files from the same place to the same place."""
    text = json.dumps([service, action, sorted(before), sorted(after), files], separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _steps(history: History, facts: DatabaseFacts, action: Action, target: str) -> list[RevisionFile]:
    """Nothing can be said of a database at a revision that these files do not know."""
    return history.between(action, facts.revisions, target) if history.knows(facts.revisions) else []


def _obstacles(
    history: History, facts: DatabaseFacts, found: MigrationTarget, action: Action, steps: list[RevisionFile]
) -> list[Problem]:
    there = check_history(classify(facts, history), facts, history)
    asked = [found.reason] if found.reason else []  # it would fail in the same way when it migrates
    return [*check_database(facts, there), *asked, *check_revision_files(steps, action, history, facts, found)]


class StatusReader:
    """Answers status and plan for one service."""

    def __init__(
        self, settings: Settings, place: TargetDatabase, database: DatabasePool, scripts: RevisionFiles
    ) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._scripts = scripts

    async def status(self, loading: LoadDeadline = UNLIMITED) -> ServiceStatus:
        """Never raises: what cannot be told stands in `error`."""
        history, unreadable = self._scripts.last_readable, None
        loading = replace(loading.or_after(REFRESH_SECONDS if history else inf), allow_unprobed=True)
        try:
            history = await self._scripts.history(loading)
        except (HistoryUnreadable, WorkerUnavailable, EnvironmentStillLoading) as error:
            unreadable = error.problem
        try:
            facts, several, last, backlog = await self._facts_and_last(history or NO_HISTORY, loading)
        except ProblemError as error:
            heads = list(history.heads) if history else []
            return self._status(DatabaseState.UNREACHABLE, head_revisions=heads, error=error.problem)
        state = classify(facts, history)
        history = history or NO_HISTORY
        pending = _steps(history, facts, Action.UPGRADE, "heads")
        return self._status(
            state,
            facts.lock_holder,
            current_revisions=list(facts.revisions),
            head_revisions=list(history.heads),
            pending=[step.id for step in pending],
            last_outcome=last,
            audit_backlog=backlog,
            error=unreadable
            or check_history(state, facts, history)
            or self._place.problem
            or (no_records(facts) if state in TO_BE_MIGRATED else None)
            or several,
        )

    async def plan(self, action: Action, target: str, loading: LoadDeadline = UNLIMITED) -> MigrationPlan:
        """Raises DatabaseUnreachable, HistoryUnreadable or UnknownTarget; anything less is an obstacle in the plan."""
        async with self._database.connection(loading=loading) as connection:
            plan, _ = await self.agreed_plan_on(connection, action, target, loading, with_waiting=True)
            return plan

    async def agreed_plan_on(
        self,
        connection: AnyConnection,
        action: Action,
        target: str,
        loading: LoadDeadline = UNLIMITED,
        *,
        with_waiting: bool = False,
    ) -> tuple[MigrationPlan, AgreedPlan]:
        """The plan, and what an operation that is accepted now is held to, by the same files.

        `with_waiting` warns of long transactions, which the migration would wait for.
        """
        history = await self._scripts.history(loading)
        found = await self._place.resolve(loading)
        facts, several = await self._facts(connection, action, target, loading)
        waiting = [facts.lock_holder] if facts.lock_holder else []
        waiting += await long_transactions(connection, LONG_TRANSACTION_SECONDS) if with_waiting else []
        before, agreed = list(facts.revisions), AgreedPlan.by(history, action, facts.revisions, target)
        after, steps = agreed.to_revisions, [history.revisions[each.id] for each in agreed.revisions]
        plan = MigrationPlan(
            service=self._settings.service,
            database=self._place.database,
            action=action,
            target=target,
            from_revisions=before,
            to_revisions=after,
            digest=digest(self._settings.service, action, before, after, [step.sha256 for step in steps]),
            revisions=[step.planned(action, autocommit=found.autocommit) for step in steps],
            obstacles=_obstacles(history, facts, found, action, steps),
            warnings=[*warnings(steps, found, waiting), *([several] if several else [])],
        )
        return plan, agreed

    async def _facts(
        self, connection: AnyConnection, action: Action, target: str, loading: LoadDeadline
    ) -> tuple[DatabaseFacts, Problem | None]:
        """Of the version table with most to do, and a word about the others."""
        tables = await self._place.all_records(loading)
        history = await self._scripts.history(loading) if len(tables) > 1 else NO_HISTORY
        steps = partial(_steps, history, action=action, target=target)
        return await read_most_behind(connection, tables, pending_count(history, steps))

    async def agreed(self, record: Operation, loading: LoadDeadline = UNLIMITED) -> AgreedPlan:
        """What an older release accepted without keeping it, by the files of now."""
        return AgreedPlan.by(await self._scripts.history(loading), record.action, record.from_revisions, record.target)

    async def facts(self, connection: AnyConnection, agreed: AgreedPlan, loading: LoadDeadline) -> DatabaseFacts:
        """Of the version table that is farthest from what was agreed; the files may be anything by now."""
        tables = await self._place.all_records(loading)
        history = NO_HISTORY
        if len(tables) > 1:
            with suppress(HistoryUnreadable):
                history = await self._scripts.history(loading)
        left, is_there = (
            (lambda at: agreed.remaining(history, at.revisions)),
            (lambda at: agreed.is_reached(at.revisions)),
        )
        return (await read_most_behind(connection, tables, pending_count(history, left, is_there)))[0]

    async def read_back(
        self, facts: DatabaseFacts, agreed: AgreedPlan, done: Collection[str] = (), loading: LoadDeadline = UNLIMITED
    ) -> tuple[int, list[Problem]]:
        """How many revisions are left of what was agreed, and what stands in the way.

        `done` is what the operation's own rows tell: it counts where the files do not know the database any more.
        """
        if agreed.is_reached(facts.revisions):
            return 0, []
        undone = agreed.undone(facts.revisions, done)
        try:
            history = await self._scripts.history(loading)
            if history.knows(facts.revisions):
                steps = agreed.remaining(history, facts.revisions)
                return len(steps), _obstacles(history, facts, await self._place.resolve(loading), agreed.action, steps)
        except (HistoryUnreadable, RevisionNotApplied, PlanChanged, UnknownTarget) as error:
            return len(undone), [error.problem]
        if agreed.revisions and not undone:
            return 0, []
        return len(undone), _obstacles(history, facts, await self._place.resolve(loading), agreed.action, [])

    async def _facts_and_last(
        self, history: History, loading: LoadDeadline
    ) -> tuple[DatabaseFacts, Problem | None, Operation | None, AuditBacklog | None]:
        tables = await self._place.all_records(loading)
        async with self._database.connection(loading=loading) as connection:
            steps = partial(_steps, history, action=Action.UPGRADE, target="heads")
            facts, several = await read_most_behind(connection, tables, pending_count(history, steps))
            readable = facts.has_journal and facts.missing_grant is None
            last = await tables[0].operations.last(connection) if readable else None
            # Without a Dapr sidecar nothing is relayed, so nothing is owed.
            relays = readable and self._settings.dapr_http_port is not None
            backlog = await tables[0].journal.backlog(connection) if relays else None
            return is_settled(facts, last), several, last, backlog

    def _status(self, state: DatabaseState, holder: LockHolder | None = None, **more: object) -> ServiceStatus:
        return ServiceStatus.model_validate(
            {
                "service": self._settings.service,
                "database": self._place.database,
                "state": state,
                "lock_holder": holder,
                **more,
            }
        )
