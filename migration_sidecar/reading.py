"""What a database is at and what would happen to it: read by SQL against the known history, touching nothing."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from migration_sidecar import store
from migration_sidecar.database import Database
from migration_sidecar.errors import HistoryUnreadable, NoProcess, ProblemError
from migration_sidecar.history import History
from migration_sidecar.messages import (
    Action,
    DatabaseState,
    LockHolder,
    MigrationPlan,
    Operation,
    Problem,
    ServiceStatus,
)
from migration_sidecar.scripts import Scripts
from migration_sidecar.settings import Settings
from migration_sidecar.store import DatabaseFacts

if TYPE_CHECKING:
    from migration_sidecar.store import AnyConnection

LONG_TRANSACTION_SECONDS = 60


def classify(facts: DatabaseFacts, history: History) -> DatabaseState:
    """Where a database stands; the lock decides first, because a migrating database has no settled state."""
    unknown = [revision for revision in facts.revisions if revision not in history.revisions]
    if facts.lock_holder is not None:
        return DatabaseState.MIGRATING
    if unknown:
        # A database that our own journal wrote to was ours: this image is older than it.
        return DatabaseState.AHEAD if facts.is_ours else DatabaseState.FOREIGN
    if not facts.revisions:
        return DatabaseState.UNMANAGED if facts.has_tables else DatabaseState.EMPTY
    at_head = set(history.heads) <= history.ancestors(facts.revisions)
    return DatabaseState.AT_HEAD if at_head else DatabaseState.BEHIND


def digest(service: str, action: Action, before: list[str], after: list[str], files: list[str]) -> str:
    """What an approval or an operation agrees to: the same files from the same place to the same place."""
    text = json.dumps([service, action, sorted(before), sorted(after), files], separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class Reader:
    """Answers status and plan for one service."""

    def __init__(self, settings: Settings, database: Database, scripts: Scripts) -> None:
        self._settings = settings
        self._database = database
        self._scripts = scripts

    async def status(self) -> ServiceStatus:
        """Never raises: what cannot be told stands in `error`."""
        history, unreadable = self._scripts.last_readable, None
        try:
            history = await self._scripts.history()
        except (HistoryUnreadable, NoProcess) as error:
            unreadable = error.problem
        try:
            facts, last = await self._facts_and_last()
        except ProblemError as error:
            heads = list(history.heads) if history else []
            return self._status(DatabaseState.UNREACHABLE, head_revisions=heads, error=error.problem)
        if history is None:
            state = DatabaseState.MIGRATING if facts.lock_holder else DatabaseState.FOREIGN
            return self._status(
                state, facts.lock_holder, current_revisions=list(facts.revisions), last_outcome=last, error=unreadable
            )
        state = classify(facts, history)
        known = set(facts.revisions) <= set(history.revisions)
        pending = history.between(Action.UPGRADE, facts.revisions, "heads") if known else []
        return self._status(
            state,
            facts.lock_holder,
            current_revisions=list(facts.revisions),
            head_revisions=list(history.heads),
            pending=[step.id for step in pending],
            last_outcome=last,
            error=unreadable or _misfit(state, facts, history),
        )

    async def plan(self, action: Action, target: str) -> MigrationPlan:
        """Raises DatabaseUnreachable, HistoryUnreadable or UnknownTarget; anything less is an obstacle in the plan."""
        async with self._database.connection() as connection:
            return await self.plan_on(connection, action, target)

    async def plan_on(self, connection: AnyConnection, action: Action, target: str) -> MigrationPlan:
        """The same on a session that the caller has open."""
        history = await self._scripts.history()
        facts = await store.read_facts(connection, self._settings.version_table)
        waiting = await store.long_transactions(connection, LONG_TRANSACTION_SECONDS)
        known = set(facts.revisions) <= set(history.revisions)
        steps = history.between(action, facts.revisions, target) if known else []
        before = list(facts.revisions)
        after = history.heads_after(action, before, steps) if known else before
        return MigrationPlan(
            service=self._settings.service,
            database=self._settings.database,
            action=action,
            target=target,
            from_revisions=before,
            to_revisions=after,
            digest=digest(self._settings.service, action, before, after, [step.sha256 for step in steps]),
            revisions=[step.planned(action) for step in steps],
            obstacles=self._obstacles(facts, history),
            warnings=[_waits_for(who) for who in ([facts.lock_holder] if facts.lock_holder else []) + waiting],
        )

    async def outlook(self, facts: DatabaseFacts, action: Action, target: str) -> tuple[int, list[Problem]]:
        """How many revisions are left to the target, and what stands in the way."""
        history = await self._scripts.history()
        known = set(facts.revisions) <= set(history.revisions)
        left = len(history.between(action, facts.revisions, target)) if known else 0
        return left, self._obstacles(facts, history)

    async def _facts_and_last(self) -> tuple[DatabaseFacts, Operation | None]:
        async with self._database.connection() as connection:
            facts = await store.read_facts(connection, self._settings.version_table)
            return facts, await store.last_operation(connection) if facts.has_journal else None

    def _status(self, state: DatabaseState, holder: LockHolder | None = None, **more: object) -> ServiceStatus:
        return ServiceStatus.model_validate(
            {
                "service": self._settings.service,
                "database": self._settings.database,
                "state": state,
                "lock_holder": holder,
                **more,
            }
        )

    def _obstacles(self, facts: DatabaseFacts, history: History) -> list[Problem]:
        found = []
        misfit = _misfit(classify(facts, history), facts, history)
        if misfit is not None:
            found.append(misfit)
        if facts.read_only:
            found.append(_READ_ONLY)
        if facts.pooled:
            found.append(_POOLED)
        if not facts.may_create and not facts.has_journal:
            found.append(self._may_not_create())
        return found

    def _may_not_create(self) -> Problem:
        user, database = self._settings.url.username, self._settings.database
        return Problem(
            code="CM-504",
            title="A privilege is missing",
            detail=f"User {user} may create no schema in {database}, and the journal lives in one.",
            next_step=f"GRANT CREATE ON DATABASE {database} TO {user}.",
        )


_READ_ONLY = Problem(
    code="CM-521",
    title="This is a read-only server",
    detail="The database is a standby or set to read-only.",
    next_step="Point the service at the primary, or wait until the failover is over.",
    retryable=True,
)
_POOLED = Problem(
    code="CM-541",
    title="A connection pooler stands in front",
    detail="The session that answers is not the one that was opened, and behind a pooler the lock protects nothing.",
    next_step="Give the service a direct connection to PostgreSQL.",
)


def _misfit(state: DatabaseState, facts: DatabaseFacts, history: History) -> Problem | None:
    at, heads = ", ".join(facts.revisions) or "no revision", ", ".join(history.heads) or "nothing"
    if not set(facts.revisions) <= set(history.revisions):
        ours = facts.is_ours
        return Problem(
            code="CM-551" if ours else "CM-552",
            title="The database is newer than this image" if ours else "The database has another history",
            detail=f"The database is at {at}, this image knows up to {heads}.",
            next_step="Deploy an image that knows that revision."
            if ours
            else "Check that the service has its own database.",
        )
    if state is DatabaseState.UNMANAGED:
        return Problem(
            code="CM-552",
            title="The database has tables but no revision",
            detail="It was not made by this history, or its version row is gone, so nothing can be assumed.",
            next_step="Compare it with a revision and stamp it with alembic, or start from an empty database.",
        )
    return None


def _waits_for(who: LockHolder) -> Problem:
    name = who.application or "no application name"
    since = f" since {who.since:%Y-%m-%d %H:%M:%S %Z}" if who.since else ""
    return Problem(
        code="CM-404",
        title="Another session is in the way",
        detail=f"Pid {who.pid} ({name}) has a lock or an open transaction{since}.",
        next_step="The migration waits for it; look at that session if it does not end.",
        retryable=True,
    )
