"""Puts the guarded session where every Alembic environment passes: EnvironmentContext.configure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.util import to_tuple

from migration_sidecar.child import failpoints
from migration_sidecar.child.journal import Attempt
from migration_sidecar.child.session import GuardedSession

_unguarded = EnvironmentContext.configure


def installed() -> bool:
    """Whether this process already migrates under guard."""
    return EnvironmentContext.configure is not _unguarded


@dataclass(frozen=True)
class Orders:
    """Which attempt this process carries out, and how long it may wait for the lock."""

    attempt: Attempt
    lock_wait_seconds: float


def install(orders: Callable[[Any], Orders], report: Callable[..., None]) -> None:
    """From now on whatever connection an env.py configures is guarded, however it was made.

    `orders` is asked when a connection is there and nothing was done with it, and may wait until there are any.
    """

    @wraps(_unguarded)
    def configure(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is None or not _changes_the_database(self):
            return _unguarded(self, connection, *args, **options)
        self.script.get_heads()  # loads the revision files: time that is better spent before the orders come
        given = orders(connection)
        session = GuardedSession(
            connection,
            given.attempt,
            report,
            version_table=options.get("version_table") or "alembic_version",
            version_table_schema=options.get("version_table_schema") or "",
            lock_wait_seconds=given.lock_wait_seconds,
        )
        session.open()
        self.context_opts["fn"] = _guarded_plan(self.context_opts["fn"], session)
        options["transaction_per_migration"] = True
        options["on_version_apply"] = (*to_tuple(options.get("on_version_apply"), default=()), session.applied)
        return _unguarded(self, connection, *args, **options)

    failpoints.watch_autocommit_blocks()
    EnvironmentContext.configure = configure  # type: ignore[method-assign]


def _changes_the_database(environment: EnvironmentContext) -> bool:
    # upgrade, downgrade and stamp name a destination; current, check, history and revision do not.
    options = environment.context_opts
    return bool(options.get("destination_rev")) and not options.get("as_sql") and not options.get("dont_mutate")


def _guarded_plan(plan: Callable[..., Any], session: GuardedSession) -> Callable[..., Any]:
    original = getattr(plan, "unguarded", plan)  # an env.py may configure several times

    def guarded(heads: Any, context: Any) -> Iterable[Any]:
        # A stamp's step has no revision file; it only moves the version row.
        steps = [session.guard(step) if hasattr(step, "revision") else step for step in original(heads, context)]
        return failpoints.then_reach("all_done", steps, session.connection)

    guarded.unguarded = original  # type: ignore[attr-defined]
    return guarded
