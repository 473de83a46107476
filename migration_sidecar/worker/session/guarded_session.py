"""A guarded session: settings, checks, lock and journal rows on the connection that Alembic migrates with.

env.py decides where transactions begin and end. The journal rows of a revision are written in the transaction that the
revision is in, and the lock is checked before each COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migration_sidecar.protocol.journal_schema import create_sql
from migration_sidecar.protocol.lock_key import lock_key
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.protocol.version_table import VersionTable
from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.failpoints import reach, watch_commit
from migration_sidecar.worker.scripts.static_analysis import stays_in_transaction
from migration_sidecar.worker.session import (
    advisory_lock,
    invalid_index_repair,
    journal_writer,
    preconditions,
    version_width,
)
from migration_sidecar.worker.session.changed_tables import may_drop
from migration_sidecar.worker.session.revision_rows import RevisionRows
from migration_sidecar.worker.session.run_failure import RunFailure
from migration_sidecar.worker.session.transactions import transaction_errors
from migration_sidecar.worker.session.transactions.commits import stop_watching, watch_commits
from migration_sidecar.worker.session.transactions.savepoints import watch_savepoints

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.protocol.attempt import Attempt
    from migration_sidecar.protocol.reports import SendReport


class GuardedSession:
    """Guards one connection of env.py for one history. env.py closes the connection, which frees the lock."""

    def __init__(
        self,
        connection: Connection,
        orders: MigrationOrders,
        attempt_for: Callable[[VersionTable], Attempt],
        report: SendReport,
        sources: dict[str, bytes],
    ) -> None:
        self.connection = connection
        self.orders = orders
        self.report = report
        self.sources = sources  # the text of each revision's file when it was loaded
        self.files = {revision: sha256(source).hexdigest() for revision, source in sources.items()}
        # Alembic calls such a transaction external. env.py began it, so only env.py commits it.
        self.external = connection.in_transaction()
        self.failure: RunFailure | None = None  # of the last run; None if it ended well
        self.has_run = False
        self._attempt_for = attempt_for
        self._is_prepared = False  # settings, checks and the row of the attempt are done
        self._checks_commits = False
        self._held: list[dict[str, int]] = []  # keys of locks
        self._invalid_before: set[invalid_index_repair.Index] = set()

    def open(self, version_table: VersionTable) -> None:
        """Settings, checks, the row of the attempt, then the lock. Raises MigrationRefused before any DDL.

        `version_table` is what env.py names so far; `begin_run` looks again.
        """
        self._use(version_table)
        watch_commits(self.connection, self)
        watch_savepoints(self.connection, lambda: self.rows)
        with self.transaction():
            self._prepare(may_wait=not self.external)
        reach("attempt_written", self.connection)
        self._acquire()
        reach("lock_taken", self.connection)

    def leave(self) -> None:
        """Frees the lock on a connection that its program goes on with. One in its transaction ends with that."""
        stop_watching(self.connection)
        if not self.external and not self.connection.closed and not self.connection.invalidated:
            with self.transaction():
                for key in self._held:
                    advisory_lock.release(self.connection, key)

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction for our own statements, if none is open. SQLAlchemy 1.4 begins none by itself."""
        return nullcontext() if self.connection.in_transaction() else self.connection.begin()

    def guard_run(self, context: Any) -> None:
        """Makes `context.run_migrations` look again where it migrates, and remember how it failed."""
        run_migrations = context.run_migrations

        @wraps(run_migrations)
        def run(**arguments: Any) -> None:
            try:
                self._begin_run(context)  # an env.py may catch its refusal, too
                run_migrations(**arguments)
            except BaseException as error:
                self.failure = self.failure or RunFailure(error, self.rows.current, undone=self.rows.uncommitted)
                raise
            finally:
                self.has_run = True
                self.rows.lock_was_checked = False  # env.py may execute statements of its own before it commits

        context.run_migrations = run

    def _begin_run(self, context: Any) -> None:
        """Looks again, because env.py may have changed search_path or role. Alembic reads the version rows next."""
        self._checks_commits = False  # while it waits for a lock, it does not hold it
        if self.failure is not None:
            self.failure = None  # env.py tries again
            self.rows.forget_undone()
        self.rows.undone.clear()  # env.py may have tried them first
        with self.transaction():
            version_table = preconditions.version_table_of(context, self.orders)
            if not self._is_prepared:
                self._prepare(may_wait=False)
        if version_table != self.version_table:
            self._use(version_table)
            self._acquire()
        self._checks_commits = True
        table = self.version_table
        self.report({"event": "migrating", "version_table": table.name, "version_table_schema": table.schema})

    def _use(self, version_table: VersionTable) -> None:
        self.version_table = version_table
        self.attempt = self._attempt_for(version_table)
        self.key = lock_key(version_table.name, version_table.schema)
        self.rows = RevisionRows(self.connection, self.orders, self.attempt, self.key, self.report)

    def _prepare(self, *, may_wait: bool) -> None:
        """Settings, checks and the row of the attempt. With `may_wait` a role that may not write yet is no error.

        env.py may take another role, or leave read-only mode, in its own transaction. Or it only reads this database.
        """
        row = preconditions.check_session(self.connection, self.orders, self.attempt)
        preconditions.require_direct_primary(self.connection, row)
        if may_wait and (row.read_only or not self._can_keep_journal(row)):
            return
        preconditions.require_writable(row)
        self.report({"event": "session", "pid": row.pid})
        self._require_journal(row)
        statement = preconditions.attempt_statement(self.orders)
        if journal_writer.write(self.connection, self.attempt, "attempt", statement, pid=row.pid) is None:
            if may_wait:
                return
            raise preconditions.other_database()
        self._is_prepared = True

    def _can_keep_journal(self, row: Any) -> bool:
        return row.may_write or (row.may_write is None and not self.orders.same_database and row.may_create)

    def _require_journal(self, row: Any) -> None:
        if row.may_write:
            return
        if row.may_write is None and self.orders.same_database:
            raise preconditions.other_database()
        if row.may_write is False:
            raise preconditions.missing_grant(self.orders.tables, row.role)
        with preconditions.has_grants(self.orders.tables, row.role):
            self.connection.execute(text(create_sql(self.orders.tables)))

    def _acquire(self) -> None:
        advisory_lock.acquire(
            self.connection,
            self.key,
            wait_seconds=self.orders.lock_wait_seconds,
            transaction=self.transaction,
            report=self.report,
            in_transaction=self.external and self.orders.handed_over,
        )
        self._held.append(self.key)
        if not self.orders.handed_over:
            advisory_lock.release_on_return(self.connection, self.key)
        self.report({"event": "locked"})

    def guard(self, step: Any, context: Any) -> Any:
        """Makes a step of Alembic begin with the `started` row, which sets the settings again."""
        apply, revision, file = step.migration_fn, step.revision.revision, Path(step.revision.path)
        source = self.sources[revision]

        @wraps(apply)
        def run(*args: Any, **kwargs: Any) -> None:
            self.report({"event": "revision", "revision": revision})
            try:
                self._run_revision(lambda: apply(*args, **kwargs), context, step, source)
            except BaseException as error:
                refusal = transaction_errors.refusal_for(error, revision, file, external=self.external)
                self.failure = RunFailure(refusal or error, revision, undone=self.rows.uncommitted)
                if refusal is not None:
                    raise refusal from error
                raise

        step.migration_fn = run
        return step

    def _run_revision(self, apply: Callable[[], None], context: Any, step: Any, source: bytes) -> None:
        revision = step.revision.revision
        transactional = stays_in_transaction(source) and not in_autocommit(self.connection)
        if not transactional:
            self._invalid_before = invalid_index_repair.drop_own_invalid_indexes(self, context, revision, source)
        invalid_before = None if transactional else sorted(str(index) for index in self._invalid_before)
        self.rows.begin(revision, may_drop=may_drop(source, upwards=step.is_upgrade), invalid_before=invalid_before)
        reach("revision_begun", self.connection)
        with nullcontext() if transactional else self._none_left_invalid(revision, source):
            apply()
            if step.is_upgrade:
                version_width.require_width_now(context, revision)
            reach("statements_done", self.connection)

    def _none_left_invalid(self, revision: str, source: bytes) -> AbstractContextManager[None]:
        return invalid_index_repair.refusing_new_invalid_indexes(
            self.connection, revision, source, self._invalid_before
        )

    def record_applied(self, *, step: Any, heads: set[str], **_: Any) -> None:
        """Called by Alembic after the version row changed: writes the journal row in the same transaction."""
        reach("version_moved", self.connection)
        revision = step.up_revision_id if not step.is_stamp else None
        self.rows.end(step, heads, sha256=self.files.get(revision) if revision else None)

    def before_commit(self) -> None:
        """Called for every COMMIT of this connection. Raises MigrationRefused (CM-406) if the lock is lost."""
        if self._checks_commits and not self.rows.lock_was_checked:
            advisory_lock.require_held(self.connection, self.key)
        if self.rows.uncommitted:
            watch_commit(self.connection)

    def after_commit(self) -> None:
        """What ran in the transaction is committed now."""
        self.rows.committed()

    def commit_failed(self, error: BaseException) -> None:
        """A deferred constraint fails here, and the connection may break."""
        if self.rows.uncommitted:
            *others, last = self.rows.uncommitted
            dialect: Any = self.connection.dialect
            driver = getattr(self.connection.connection, "dbapi_connection", None)
            # The driver's error is not wrapped yet, so SQLAlchemy has not judged it.
            lost = isinstance(error, dialect.dbapi.Error) and bool(dialect.is_disconnect(error, driver, None))
            self.failure = RunFailure(error, last, at_commit=True, undone=tuple(others), connection_lost=lost)
