"""The guarded session on Alembic's own connection: preamble, checks, lock, fence and journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migration_sidecar.child import failpoints, journal, lock
from migration_sidecar.child.driver import backend_pid
from migration_sidecar.child.inspection import is_transactional
from migration_sidecar.child.refusal import Refusal

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# Measured: with these a stopped or cut-off migrator loses its session within seconds, and no unprivileged role
# lacks the right to set them. lock_timeout: a waiting DDL statement blocks every reader behind it.
SETTINGS = {
    "client_connection_check_interval": "1s",
    "lock_timeout": "1s",
    "tcp_user_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "120s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# CONCURRENTLY waits for older transactions by design; giving up after a second leaves an INVALID index.
PATIENT_LOCK_TIMEOUT = "10min"


def _set(settings: dict[str, str]) -> str:
    return ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())


OPEN = text(f"""
    SELECT pg_backend_pid() AS pid, pg_is_in_recovery() AS standby,
           current_setting('transaction_read_only') = 'on' AS read_only,
           to_regclass('migration_sidecar.journal') IS NOT NULL AS has_journal,
           set_config('application_name', :application, false), {_set(SETTINGS)}""")
# Set again with each revision's first row: a SET of the revision before leaks, and a rollback undoes ours.
STARTED = journal.insert(fenced=True, also=_set(SETTINGS))
STARTED_PATIENTLY = journal.insert(fenced=True, also=_set({**SETTINGS, "lock_timeout": PATIENT_LOCK_TIMEOUT}))


class GuardedSession:
    """Owns nothing: the connection stays its maker's, and closing it frees the lock."""

    def __init__(
        self,
        connection: Connection,
        attempt: journal.Attempt,
        report: Callable[..., None],
        *,
        version_table: str,
        version_table_schema: str,
        lock_wait_seconds: float,
    ) -> None:
        self.connection = connection
        self.attempt = attempt
        self.report = report
        self.key = lock.lock_key(version_table, version_table_schema)
        self.lock_wait_seconds = lock_wait_seconds
        # Alembic calls such a transaction external; it is its owner's to end, so nothing is committed in it here.
        self.external = connection.in_transaction()
        self._started_at = 0.0

    def open(self) -> None:
        """Preamble, checks, the attempt's own row, then the lock; raises Refusal before any DDL."""
        row = self.connection.execute(OPEN, {"application": self._application_name()}).one()
        self._end_transaction()
        self._require_direct_primary(row)
        self.report("session", pid=row.pid)
        if not row.has_journal:
            self.connection.exec_driver_sql(journal.CREATE_SCHEMA)
            self._end_transaction()
        journal.write(self.connection, self.attempt, "attempt", pid=row.pid)
        self._end_transaction()
        failpoints.reach("attempt_written", self.connection)
        lock.take(
            self.connection,
            self.key,
            wait_seconds=self.lock_wait_seconds,
            release_transaction=self._end_transaction,
            report=self.report,
        )
        self.report("locked")
        failpoints.reach("lock_taken", self.connection)

    def guard(self, step: Any) -> Any:
        """Puts fence, preamble and the `started` row before the revision's first statement, in its transaction."""
        apply = step.migration_fn
        revision = step.revision.revision
        transactional = is_transactional(Path(step.revision.path))

        @wraps(apply)
        def run(*args: Any, **kwargs: Any) -> None:
            self.report("revision", revision=revision)
            statement, kind = (STARTED, "started") if transactional else (STARTED_PATIENTLY, "nontx_started")
            xid = journal.write(
                self.connection, self.attempt, kind, revision=revision, statement=statement, key=self.key
            )
            self.report("started", revision=revision, xid=xid, transactional=transactional)
            self._started_at = monotonic()
            failpoints.reach("revision_begun", self.connection)
            apply(*args, **kwargs)
            failpoints.reach("statements_done", self.connection)

        step.migration_fn = run
        return step

    def applied(self, *, step: Any, heads: set[str], **_: Any) -> None:
        """Called by Alembic after the version row changed and before its transaction ends: the journal row joins it."""
        failpoints.reach("version_moved", self.connection)
        revision = step.up_revision_id
        kind = "stamped" if step.is_stamp else "applied" if step.is_upgrade else "reverted"
        duration = round((monotonic() - self._started_at) * 1000) if not step.is_stamp else 0
        journal.write(
            self.connection,
            self.attempt,
            kind,
            revision=revision,
            statement=journal.INSERT_FENCED,
            key=self.key,
            duration_ms=duration,
            heads=sorted(heads),
            before=sorted(step.source_revision_ids),
            sha256=None if step.is_stamp else sha256(Path(step.up_revision.path).read_bytes()).hexdigest(),
        )
        self.report("applied", revision=revision, kind=kind, duration_ms=duration)
        failpoints.reach("journal_written", self.connection)
        failpoints.watch_commit(self.connection)

    def _end_transaction(self) -> None:
        if not self.external:
            self.connection.commit()

    def _application_name(self) -> str:
        # PostgreSQL cuts at 63 bytes; the journal has the whole id.
        return f"migration-sidecar:{self.attempt.operation_id}"[:63]

    def _require_direct_primary(self, row: Any) -> None:
        if row.standby or row.read_only:
            raise Refusal(
                "CM-521",
                "This is a read-only server",
                "The database is a standby or set to read-only, so nothing can be migrated here.",
                "Point the service at the primary, or wait until the failover is over.",
                retryable=True,
            )
        ours = backend_pid(self.connection)
        if ours is not None and ours != row.pid:
            raise Refusal(
                "CM-541",
                "A connection pooler stands in front",
                "The session that answers is not the one that was opened; behind a pooler the lock protects nothing.",
                "Give migrations a direct connection to PostgreSQL.",
            )
