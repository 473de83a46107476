"""Opens a guarded session in EnvironmentContext.configure, which every env.py calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.util import to_tuple

from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.first_upgrade.rule import OwnTable
from migration_sidecar.protocol.journal_schema import PLAIN, history_key
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.protocol.version_table import VersionTable
from migration_sidecar.worker.failpoints import reach_after, watch_autocommit_blocks
from migration_sidecar.worker.first_upgrade import TableName, require_own_base
from migration_sidecar.worker.own_tables import forget_own_tables, note_own_tables
from migration_sidecar.worker.session import preconditions, version_width
from migration_sidecar.worker.session.guarded_session import GuardedSession
from migration_sidecar.worker.session.run_failure import RunFailure
from migration_sidecar.worker.session.transactions.split_transaction import split_transaction
from migration_sidecar.worker.version_table import default_schema_of, find, named_schema

_unguarded = EnvironmentContext.configure


def installed() -> bool:
    """Whether `install` was called in this process."""
    return EnvironmentContext.configure is not _unguarded


class GuardedSessions:
    """Opens a guarded session each time an env.py configures a connection, and keeps them until the job ends."""

    def __init__(self, orders: Callable[[Any], MigrationOrders], report: SendReport) -> None:
        self._orders = orders
        self._report = report
        self._turns: Counter[str] = Counter()
        self._sessions: list[GuardedSession] = []
        self._noted = note_own_tables()
        self._own_tables: frozenset[OwnTable] | None = None
        self._there: frozenset[TableName] | None = None  # the tables before the first revision of this process ran

    def session(self, connection: Any, options: dict[str, Any], sources: dict[str, bytes]) -> GuardedSession:
        """Opens a guarded session on this connection. Raises MigrationRefused if a check fails or the lock is held."""
        orders = self._orders(connection)
        session = GuardedSession(connection, orders, partial(self._attempt, orders), self._report, sources)
        self._sessions.append(session)
        table = options.get("version_table") or PLAIN
        schema = named_schema(connection, options.get("version_table_schema")) or _own_schema(connection, orders, table)
        session.open(VersionTable(table, schema))
        return session

    def leave(self) -> None:
        """Frees the locks of connections that stay open."""
        for session in self._sessions:
            session.leave()

    def own_tables(self) -> frozenset[OwnTable]:
        """The tables that env.py made by itself before the first revision; called before that one runs."""
        if self._own_tables is None:
            self._own_tables = frozenset(self._noted)
        return self._own_tables

    def require_own_base(self, session: GuardedSession) -> None:
        """Raises MigrationRefused (CM-552); called if there is no version row."""
        table, own = session.version_table, self.own_tables()
        found = require_own_base(session.connection, session.orders, table, session.sources, own, self._there)
        self._there = found if self._there is None else self._there

    def _attempt(self, orders: MigrationOrders, version_table: VersionTable) -> Attempt:
        history = history_key(version_table.name, version_table.schema)
        self._turns[history] += 1
        return replace(orders.attempt, version_table=history, turn=self._turns[history])

    def failure(self, error: BaseException) -> RunFailure:
        """Why the migration failed: `error`, or what made a revision fail if env.py raised another error for it."""
        failed = [session.failure for session in self._sessions if session.failure is not None]
        undone = tuple(revision for session in self._sessions for revision in session.rows.uncommitted)
        ran = any(session.has_run for session in self._sessions)
        return failed[-1] if failed else RunFailure(error, undone=undone, after_revisions=ran)

    def require_completed(self) -> None:
        """Raises the error of a revision that env.py caught, or MigrationRefused (CM-410) if nobody committed."""
        for session in self._sessions:
            if session.failure is not None:
                raise session.failure.error
            if session.rows.undone:
                raise preconditions.undone(session.rows.undone)
            if session.rows.uncommitted:
                raise preconditions.uncommitted(session.rows.uncommitted, external=session.external)


def install(orders: Callable[[Any], MigrationOrders], report: SendReport) -> GuardedSessions:
    """From now on every connection that an env.py configures for a migration gets a guarded session.

    `orders` is called with the connection before it is used, and may wait until the orders arrive.
    """
    guard = GuardedSessions(orders, report)
    watch_autocommit_blocks()

    @wraps(_unguarded)
    def configure(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is None or not _changes_the_database(self):
            _unguarded(self, connection, *args, **options)
            return
        sources = _loaded(self.script)  # it takes time, so do it before the orders arrive
        # Options of an earlier configure are valid for this one too: Alembic keeps them.
        session = guard.session(connection, {**self.context_opts, **options}, sources)
        self.context_opts["fn"] = _guarded_plan(self.context_opts["fn"], session, guard)
        is_split = session.orders.transaction_per_revision and not options.get("transaction_per_migration")
        if is_split:
            options["transaction_per_migration"] = True
        options["on_version_apply"] = (*to_tuple(options.get("on_version_apply"), default=()), session.record_applied)
        _unguarded(self, connection, *args, **options)
        session.guard_run(self.get_context())
        if is_split:
            split_transaction(self.get_context(), connection)

    EnvironmentContext.configure = configure  # type: ignore[method-assign]
    return guard


def remove() -> None:
    """Ends what `install` began; a program may run several migrations in one process."""
    EnvironmentContext.configure = _unguarded  # type: ignore[method-assign]
    forget_own_tables()


def _changes_the_database(environment: EnvironmentContext) -> bool:
    # upgrade, downgrade and stamp name a destination; current, check, history and revision do not.
    options = environment.context_opts
    return bool(options.get("destination_rev")) and not options.get("as_sql") and not options.get("dont_mutate")


def _own_schema(connection: Any, orders: MigrationOrders, table: str) -> str:
    """The schema of an unqualified version table. env.py may set a different search_path for each tenant."""
    if not orders.default_schema:
        return ""
    with nullcontext() if connection.in_transaction() else connection.begin():
        return default_schema_of(find(connection, table, "")) or orders.default_schema


def _loaded(scripts: Any) -> dict[str, bytes]:
    """Loads the revision files and returns the text of each by id, because the files may change while they run."""
    return {each.revision: Path(each.path).read_bytes() for each in scripts.walk_revisions()}


def _guarded_plan(plan: Callable[..., Any], session: GuardedSession, guard: GuardedSessions) -> Callable[..., Any]:
    original = getattr(plan, "unguarded", plan)  # an env.py may configure several times

    @wraps(original)  # env.py may ask for its name: "upgrade"
    def guarded(heads: Any, context: Any) -> Any:
        session.rows.heads = None if context.purge else set(heads)
        # A stamp's step has no revision file; it only moves the version row.
        steps = list(_agreed_steps(original, heads, context, session))
        guard.own_tables()  # noted before the first revision runs
        if not heads and any(hasattr(step, "revision") for step in steps):
            guard.require_own_base(session)
        # This session has the lock here, so no other migration changes the database from now on.
        revisions = [step.revision.revision for step in steps if hasattr(step, "revision")]
        preconditions.require_agreed({revision: session.files[revision] for revision in revisions}, session.orders)
        version_width.require_width(context, [step for step in steps if hasattr(step, "revision")], session.sources)
        guarded_steps = [session.guard(step, context) if hasattr(step, "revision") else step for step in steps]
        return reach_after("all_done", guarded_steps, session.connection)

    guarded.unguarded = original  # type: ignore[attr-defined]
    return guarded


def _agreed_steps(plan: Callable[..., Any], heads: Any, context: Any, session: GuardedSession) -> Any:
    """The steps to the revisions that were agreed, because the target may mean others by now."""
    goals = session.orders.goals
    if not goals:
        return plan(heads, context)
    preconditions.require_there(session.files, goals)
    return context.script._upgrade_revs(goals, heads)
