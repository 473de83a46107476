"""The journal rows of the revisions that one session runs, and which of them are committed."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.failpoints import reach
from migration_sidecar.worker.session import advisory_lock, journal_writer
from migration_sidecar.worker.session.changed_tables import KNOWN_BEFORE
from migration_sidecar.worker.session.session_settings import set_config_sql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

    from migration_sidecar.protocol.attempt import Attempt
    from migration_sidecar.protocol.orders import MigrationOrders
    from migration_sidecar.protocol.reports import RevisionApplied, SendReport

ENDS_BY_SQL = "migration_sidecar_ends_by_sql"  # in Connection.info: a statement like COMMIT was executed
_IN_NO_TRANSACTION = text("SELECT pg_current_xact_id_if_assigned() IS NULL")  # asked after a row was written
LONGEST_MESSAGE = 100  # the first line of a revision's docstring, as Alembic shows it


class RevisionRows:
    """Writes rows in the transaction that is open. Raises MigrationRefused (CM-406) if the lock is lost."""

    def __init__(
        self,
        connection: Connection,
        orders: MigrationOrders,
        attempt: Attempt,
        key: dict[str, int],
        report: SendReport,
    ) -> None:
        self._connection, self._orders, self._attempt, self._key = connection, orders, attempt, key
        self._report = report
        self._uncommitted: list[RevisionApplied] = []
        self._before_savepoint: dict[str, int] = {}  # how many of them there were, by the savepoint's name
        self.undone: list[str] = []  # revisions that env.py ran and undid by a savepoint
        self._started_at = 0.0
        self._known_before: str | None = None
        self.lock_was_checked = False  # by the last row, and no statement but ours came after it
        self.current: str | None = None  # the revision that runs
        # In the version table before the next step. None if `alembic stamp --purge` has emptied it.
        self.heads: set[str] | None = None

    @property
    def uncommitted(self) -> tuple[str, ...]:
        """The revisions that ran and whose transaction is not committed."""
        return tuple(each["revision"] for each in self._uncommitted)

    def begin(self, revision: str, *, may_drop: bool, invalid_before: list[str] | None) -> None:
        """Writes the `started` row and sets the settings. `invalid_before`: None for a revision in a transaction."""
        self.lock_was_checked, self.current = False, revision
        transactional = invalid_before is None
        # Set again for each revision: the previous one may have changed a setting, and a rollback undoes ours.
        settings = set_config_sql(self._orders.guards, outside_transaction=not transactional)
        statement = journal_writer.insert(
            self._orders.tables,
            # Outside a transaction each statement is its own COMMIT.
            where="true" if transactional else advisory_lock.HELD_BY_US,
            also=f"{KNOWN_BEFORE}, {settings}" if may_drop else settings,
        )
        detail = {} if transactional else {"invalid_before": invalid_before}
        row = self._write("started" if transactional else "nontx_started", statement, revision, **detail)
        self._known_before = row[1] if may_drop else None
        self._started_at = monotonic()

    def end(self, step: Any, heads: set[str], *, sha256: str | None) -> None:
        """Writes the row that ends a step of Alembic. `heads` are those after it."""
        # A stamp downwards names its destination. A stamp to base has none and names the revision that it removes.
        revision = (step.destination_revision_ids or step.up_revision_ids)[0] if step.is_stamp else step.up_revision_id
        kind = "stamped" if step.is_stamp else "applied" if step.is_upgrade else "reverted"
        duration = round((monotonic() - self._started_at) * 1000) if not step.is_stamp else 0
        # `before` is what the revision builds on, which need not be the heads that were there.
        detail = {"duration_ms": duration, "heads": sorted(heads), "before": sorted(step.source_revision_ids)}
        if self.heads is not None:
            detail["heads_before"] = sorted(self.heads)
        self.heads = set(heads)
        if step.is_stamp:
            self._write(kind, journal_writer.insert_fenced(self._orders.tables), revision, **detail)
        else:
            self._write_done(kind, step.up_revision, detail, sha256)
        self.lock_was_checked, self.current = True, None
        self._uncommitted.append({"event": "applied", "revision": revision, "kind": kind, "duration_ms": duration})
        self._report({"event": "executed", "revision": revision})
        reach("journal_written", self._connection)
        if in_autocommit(self._connection) or not self._connection.in_transaction() or self._is_committed():
            self.committed()  # each statement was its own transaction

    def _is_committed(self) -> bool:
        """psycopg2 and asyncpg begin no transaction after a COMMIT that they did not see."""
        return ENDS_BY_SQL in self._connection.info and bool(self._connection.execute(_IN_NO_TRANSACTION).scalar())

    def note_savepoint(self, name: str) -> None:
        """Called when the transaction gets a savepoint."""
        self._before_savepoint[name] = len(self._uncommitted)

    def undo_savepoint(self, name: str) -> None:
        """Called when it is rolled back to a savepoint: the revisions since then are undone."""
        kept = self._before_savepoint.get(name, len(self._uncommitted))
        self.undone += [each["revision"] for each in self._uncommitted[kept:]]
        del self._uncommitted[kept:]

    def committed(self) -> None:
        """Reports the revisions that are committed now."""
        self.lock_was_checked = False
        self._before_savepoint.clear()
        for each in self._uncommitted:
            self._report(each)
        self._uncommitted.clear()

    def forget_undone(self) -> None:
        """Called when env.py runs again after a failure: what was not committed is rolled back."""
        self._uncommitted.clear()

    def _write(self, kind: str, statement: TextClause, revision: str | None, **detail: Any) -> Any:
        return self._written(kind, statement, revision, self._key, **detail)

    def _written(
        self, kind: str, statement: TextClause, revision: str | None, parameters: dict[str, Any], **detail: Any
    ) -> Any:
        row = journal_writer.write(
            self._connection, self._attempt, kind, statement, revision=revision, parameters=parameters, **detail
        )
        if row is None:
            raise advisory_lock.lock_lost(revision)
        return row

    def _write_done(self, kind: str, script: Any, detail: dict[str, Any], sha256: str | None) -> None:
        parameters = {
            **self._key,
            "known": self._known_before,
            "own_table": self._attempt.version_table.rpartition(".")[2],
        }
        statement = journal_writer.insert_fenced_with_changed_tables(self._orders.tables)
        message = _first_line(script.doc or "")
        self._written(kind, statement, script.revision, parameters, **detail, message=message, sha256=sha256)


def _first_line(docstring: str) -> str | None:
    """Without characters that PostgreSQL's JSON cannot hold: a revision must not fail because of its title."""
    line = docstring.strip().partition("\n")[0]
    return "".join(each for each in line if each.isprintable())[:LONGEST_MESSAGE] or None
