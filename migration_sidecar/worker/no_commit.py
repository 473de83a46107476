"""Runs env.py with commits disabled in SQLAlchemy, for jobs that must not change the database."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import Pool

from migration_sidecar.worker.dbapi import IN_FAILED_TRANSACTION, in_autocommit, sqlstate_of
from migration_sidecar.worker.transaction_statements import replace_ends

# A preview must not wait: what it wrote and did not commit may lock another connection of the same env.py, and another
# process may hold a lock of env.py's own for as long as it migrates.
SHORT_LOCK_TIMEOUT = "SET lock_timeout = '500ms'"
_UNNOTICED = ("psycopg2", "asyncpg")  # drivers that do not see a statement end their transaction
_CHAINS = re.compile(r"\band\s+chain\b", re.IGNORECASE)
_BEGINS = re.compile(r"\s*(begin|start\s+transaction)\b", re.IGNORECASE)
_SET_LOCAL = re.compile(r"\s*set\s+local\b", re.IGNORECASE)
_HAS_WRITTEN = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"


class DiscardedCommits:
    """What a run of env.py wrote, or might have written, and did not keep."""

    def __init__(self) -> None:
        self.writing = False  # a transaction that had written was not committed
        self.had_autocommit = False
        self._autocommits: list[Any] = []  # connections that env.py put into AUTOCOMMIT, and which are not
        self._opened: list[Any] = []
        self._left: list[Any] = []  # connections whose driver would not begin a transaction for the next statement

    def is_autocommit(self, driver: Any) -> bool:
        """Whether this connection of a driver would be in AUTOCOMMIT."""
        return any(each is driver for each in self._autocommits)

    @property
    def needed(self) -> bool:
        """Whether env.py may have failed because what it wrote was not kept."""
        for driver in self._autocommits:
            self.note(driver)
        return self.writing

    def note(self, driver: Any) -> bool:
        """Called instead of a commit. Whether the transaction has written nothing, so that it may be committed."""
        with suppress(Exception):  # a broken connection, or a transaction that failed
            cursor = driver.cursor()
            cursor.execute(_HAS_WRITTEN)
            has_written = bool(cursor.fetchone()[0])
            cursor.close()
            self.writing = self.writing or has_written
            return not has_written
        return False

    def set_autocommit(self, driver: Any, *, on: bool) -> None:
        """Called when env.py chooses an isolation level."""
        self.had_autocommit = self.had_autocommit or on
        self._autocommits = [each for each in self._autocommits if each is not driver] + ([driver] if on else [])

    def leave_transaction(self, driver: Any, *, left: bool) -> None:
        """Called when a statement has ended the driver's transaction unnoticed, and when another one begins."""
        self._left = [each for each in self._left if each is not driver] + ([driver] if left else [])

    def has_left_transaction(self, driver: Any) -> bool:
        """Whether a migration would execute the next statement outside a transaction."""
        return any(each is driver for each in self._left)

    def opened(self, driver: Any) -> None:
        """Called with each new session."""
        self._opened.append(driver)
        driver.cursor().execute(SHORT_LOCK_TIMEOUT)
        driver.commit()
        commit = driver.commit
        with suppress(AttributeError):  # psycopg2 and SQLAlchemy's adapter of asyncpg do not let it be replaced
            driver.commit = lambda: commit() if self.note(driver) else None

    def end_sessions(self) -> None:
        """Ends what a failed env.py may have left open, with the locks of what it wrote."""
        gc.collect()  # else a connection that nobody uses any more is returned at any later moment, and fails
        for driver in self._opened:
            with suppress(Exception):
                getattr(driver, "terminate", driver.close)()


@contextmanager
def discard_commits() -> Iterator[DiscardedCommits]:
    """Nothing that is written through SQLAlchemy in the block is kept, in AUTOCOMMIT neither.

    A statement that PostgreSQL takes only outside a transaction fails in the block.
    """
    discarded = DiscardedCommits()
    commit: Any = DefaultDialect.do_commit
    rollback: Any = DefaultDialect.do_rollback

    def skip(self: DefaultDialect, driver: Any) -> None:
        discarded.leave_transaction(_session(driver), left=False)
        if discarded.note(driver):
            commit(self, driver)  # ends what env.py set with SET LOCAL, as it would in a migration

    def undo(self: DefaultDialect, driver: Any) -> None:
        discarded.leave_transaction(_session(driver), left=False)
        if discarded.is_autocommit(driver):
            discarded.note(driver)
        rollback(self, driver)

    def connecting(dialect: Any, *_: Any) -> None:
        _without_autocommit(dialect, discarded)

    def connected(driver: Any, _: Any) -> None:
        discarded.opened(driver)

    DefaultDialect.do_commit, DefaultDialect.do_rollback = skip, undo  # type: ignore[method-assign]
    listeners: tuple[tuple[Any, str, Any, dict[str, Any]], ...] = (
        (Engine, "do_connect", connecting, {}),
        (Engine, "before_cursor_execute", _without_commit_statement(discarded), {"retval": True}),
        (Pool, "connect", connected, {}),
    )
    for place, name, function, options in listeners:
        event.listen(place, name, function, **options)
    try:
        yield discarded
    except BaseException:
        discarded.end_sessions()
        raise
    finally:
        for place, name, function, _ in listeners:
            event.remove(place, name, function)
        DefaultDialect.do_commit, DefaultDialect.do_rollback = commit, rollback  # type: ignore[method-assign]


def _without_autocommit(dialect: Any, discarded: DiscardedCommits) -> None:
    """AUTOCOMMIT of this dialect's connections is only noted from now on."""
    if hasattr(dialect, "chosen_isolation_level"):
        return
    dialect.chosen_isolation_level = set_level = dialect.set_isolation_level

    def choose(driver: Any, level: str, *more: Any) -> None:
        on = level.replace("_", " ") == "AUTOCOMMIT"
        discarded.set_autocommit(driver, on=on)
        if not on:
            set_level(driver, level, *more)

    dialect.set_isolation_level = choose


def _without_commit_statement(discarded: DiscardedCommits) -> Any:
    """A listener that lets no statement commit what was written, or leave the connection without a transaction.

    psycopg2 and asyncpg do not notice that a statement has ended their transaction; each that follows would be kept.
    A SET LOCAL that follows has no effect in a migration, so it has none here either.
    """

    def execute(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
        if connection.dialect.name != "postgresql" or in_autocommit(connection):
            return statement, parameters

        driver = connection.connection

        def instead(commits: bool) -> str:
            if not commits or _has_failed(driver):
                return "ROLLBACK AND CHAIN"
            return "COMMIT AND CHAIN" if discarded.note(driver) else "SELECT 1"

        replaced, session = replace_ends(statement, instead), _session(driver)
        if replaced != statement:
            goes_on = _CHAINS.search(statement) or connection.dialect.driver not in _UNNOTICED
            discarded.leave_transaction(session, left=not goes_on)
        elif _BEGINS.match(statement):
            discarded.leave_transaction(session, left=False)
        elif discarded.has_left_transaction(session) and _SET_LOCAL.match(statement):
            replaced = "SELECT 1"
        return replaced, parameters

    return execute


def _session(driver: Any) -> Any:
    """The driver's own connection, whichever of SQLAlchemy's objects stands for it."""
    return getattr(driver, "dbapi_connection", None) or driver


def _has_failed(driver: Any) -> bool:
    """Whether the transaction has failed, so that a COMMIT rolls it back."""
    try:
        driver.cursor().execute("SELECT 1")
    except Exception as error:
        return sqlstate_of(error) == IN_FAILED_TRANSACTION
    return False
