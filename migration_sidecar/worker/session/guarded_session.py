"""A guarded session: settings, checks, lock and journal rows on the connection that Alembic migrates with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, text

from migration_sidecar.protocol.journal_schema import create_sql
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.failpoints import reach, watch_commit
from migration_sidecar.worker.scripts.static_analysis import stays_in_transaction
from migration_sidecar.worker.session import (
    advisory_lock,
    invalid_index_repair,
    journal_writer,
    preconditions,
    transaction_errors,
)
from migration_sidecar.worker.session.changed_tables import KNOWN_BEFORE, may_drop
from migration_sidecar.worker.session.session_settings import set_config_sql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

    from migration_sidecar.protocol.attempt import Attempt
    from migration_sidecar.protocol.reports import SendReport

LONGEST_MESSAGE = 100  # the first line of a revision's docstring, as Alembic shows it


class GuardedSession:
    """Guards one connection of env.py for one history. env.py closes the connection, which frees the lock."""

    def __init__(
        self,
        connection: Connection,
        orders: MigrationOrders,
        attempt: Attempt,
        report: SendReport,
        *,
        key: dict[str, int],
        sources: dict[str, bytes],
    ) -> None:
        self.connection = connection
        self.orders = orders
        self.attempt = attempt
        self.report = report
        self.key = key
        self.sources = sources  # the text of each revision's file when it was loaded
        self.files = {revision: sha256(source).hexdigest() for revision, source in sources.items()}
        # Alembic calls such a transaction external. env.py began it, so only env.py commits it.
        self.external = connection.in_transaction()
        self.uncommitted = False
        self._started_at = 0.0
        self._known_before: str | None = None
        self._invalid_before: set[invalid_index_repair.Index] = set()

    def open(self) -> None:
        """Settings, checks, the row of the attempt, then the lock. Raises MigrationRefused before any DDL."""
        if self.external:
            event.listen(self.connection, "commit", self._committed)
        with self.transaction():
            row = preconditions.check_session(self.connection, self.orders, self.attempt)
            preconditions.require_direct_primary(self.connection, row)
            self.report({"event": "session", "pid": row.pid})
            self._require_journal(row)
            statement = preconditions.attempt_statement(self.orders)
            if journal_writer.write(self.connection, self.attempt, "attempt", statement, pid=row.pid) is None:
                raise preconditions.other_database()
        reach("attempt_written", self.connection)
        advisory_lock.acquire(
            self.connection,
            self.key,
            wait_seconds=self.orders.lock_wait_seconds,
            transaction=self.transaction,
            report=self.report,
        )
        advisory_lock.release_on_return(self.connection, self.key)
        self.report({"event": "locked"})
        reach("lock_taken", self.connection)

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction for our own statements, if env.py has none open. SQLAlchemy 1.4 begins none by itself."""
        return nullcontext() if self.external else self.connection.begin()

    def guard(self, step: Any, context: Any) -> Any:
        """Makes a step of Alembic begin with the `started` row, which checks the lock and sets the settings again."""
        apply, revision, file = step.migration_fn, step.revision.revision, Path(step.revision.path)
        source = self.sources[revision]

        @wraps(apply)
        def run(*args: Any, **kwargs: Any) -> None:
            self.report({"event": "revision", "revision": revision})
            transactional = stays_in_transaction(source) and not in_autocommit(self.connection)
            if not transactional:
                self._invalid_before = invalid_index_repair.drop_own_invalid_indexes(self, context, revision, source)
            self._begin(revision, transactional=transactional, may_drop=may_drop(source, upwards=step.is_upgrade))
            with self._none_left_invalid(revision, source) if not transactional else nullcontext():
                try:
                    apply(*args, **kwargs)
                except Exception as error:
                    transaction_errors.explain_transaction_error(error, revision, file, external=self.external)
                    raise
                reach("statements_done", self.connection)

        step.migration_fn = run
        return step

    def _none_left_invalid(self, revision: str, source: bytes) -> AbstractContextManager[None]:
        return invalid_index_repair.refusing_new_invalid_indexes(
            self.connection, revision, source, self._invalid_before
        )

    def record_applied(self, *, step: Any, heads: set[str], **_: Any) -> None:
        """Called by Alembic after the version row changed: writes the journal row in the same transaction."""
        reach("version_moved", self.connection)
        # A stamp downwards names its destination. A stamp to base has none and names the revision that it removes.
        revision = (step.destination_revision_ids or step.up_revision_ids)[0] if step.is_stamp else step.up_revision_id
        kind = "stamped" if step.is_stamp else "applied" if step.is_upgrade else "reverted"
        duration = round((monotonic() - self._started_at) * 1000) if not step.is_stamp else 0
        detail = {"duration_ms": duration, "heads": sorted(heads), "before": sorted(step.source_revision_ids)}
        if step.is_stamp:
            self.write_fenced(kind, journal_writer.insert_fenced(self.orders.tables), revision, **detail)
        else:
            self._write_done(kind, step.up_revision, detail)
        self.uncommitted = self.external
        self.report({"event": "applied", "revision": revision, "kind": kind, "duration_ms": duration})
        reach("journal_written", self.connection)
        watch_commit(self.connection)

    def write_fenced(self, kind: str, statement: TextClause, revision: str | None, **detail: Any) -> Any:
        """Writes a journal row. Raises MigrationRefused (CM-406) if this session no longer holds the lock."""
        return self._written(kind, statement, revision, self.key, **detail)

    def _written(
        self, kind: str, statement: TextClause, revision: str | None, parameters: dict[str, Any], **detail: Any
    ) -> Any:
        row = journal_writer.write(
            self.connection, self.attempt, kind, statement, revision=revision, parameters=parameters, **detail
        )
        if row is None:
            raise advisory_lock.lock_lost(revision)
        return row

    def _write_done(self, kind: str, script: Any, detail: dict[str, Any]) -> None:
        parameters = {
            **self.key,
            "known": self._known_before,
            "own_table": self.attempt.version_table.rpartition(".")[2],
        }
        self._written(
            kind,
            journal_writer.insert_fenced_with_changed_tables(self.orders.tables),
            script.revision,
            parameters,
            **detail,
            message=_first_line(script.doc or ""),
            sha256=self.files[script.revision],
        )

    def _begin(self, revision: str, *, transactional: bool, may_drop: bool) -> None:
        # Set again for each revision: the previous one may have changed a setting, and a rollback undoes ours.
        settings = set_config_sql(self.orders.guards, outside_transaction=not transactional)
        statement = journal_writer.insert(
            self.orders.tables,
            where=advisory_lock.HELD_BY_US,
            also=f"{KNOWN_BEFORE}, {settings}" if may_drop else settings,
        )
        detail = {} if transactional else {"invalid_before": sorted(str(index) for index in self._invalid_before)}
        row = self.write_fenced("started" if transactional else "nontx_started", statement, revision, **detail)
        self._known_before = row[1] if may_drop else None
        self._started_at = monotonic()
        reach("revision_begun", self.connection)

    def _require_journal(self, row: Any) -> None:
        if row.may_write:
            return
        if row.may_write is None and self.orders.same_database:
            raise preconditions.other_database()
        if row.may_write is False:
            raise preconditions.missing_grant(self.orders.tables, row.role)
        with preconditions.has_grants(self.orders.tables, row.role):
            self.connection.execute(text(create_sql(self.orders.tables)))

    def _committed(self, _connection: Any) -> None:
        self.uncommitted = False


def _first_line(docstring: str) -> str | None:
    """Without characters that PostgreSQL's JSON cannot hold: a revision must not fail because of its title."""
    line = docstring.strip().partition("\n")[0]
    return "".join(each for each in line if each.isprintable())[:LONGEST_MESSAGE] or None
