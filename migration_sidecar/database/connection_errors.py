"""The problem when a session cannot be opened, is lost, or gets an error: one row for each kind that asyncpg raises."""

from __future__ import annotations

from typing import Any

import asyncpg

from migration_sidecar.contract.errors import DatabaseRefused, DatabaseUnreachable
from migration_sidecar.protocol.journal_schema import ABOUT_THE_SERVER, JournalTables
from migration_sidecar.protocol.server_words import RAISE, ServerWords, readable
from migration_sidecar.protocol.url import URL

CONNECT_SECONDS = 5.0
_NAMES = ("schema_name", "table_name", "column_name", "data_type_name", "constraint_name")
_LOGIN_REFUSED = asyncpg.InvalidAuthorizationSpecificationError
_NOT_WRITABLE = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # ALLOW_CONNECTIONS false
)
_ONLY_BUSY = (asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError)  # asyncpg derives them from the last one
_NO_FREE_CONNECTION = asyncpg.TooManyConnectionsError
_OUT_OF_RESOURCES = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
_NO_SESSION = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended an idle session while we sent a query
)


def unreachable(url: URL, error: Exception) -> DatabaseUnreachable | None:
    """None for an error that neither the server nor the session with it has raised."""
    sqlstate = getattr(error, "sqlstate", None)
    for kinds, code, detail, next_step in _table(url):
        if isinstance(error, kinds) and not isinstance(error, _ONLY_BUSY):
            # Of a refused right the server names the table, of the others it says no more than we do.
            said = _sentence(error) if code == "CM-504" else None
            return DatabaseUnreachable(code, detail, next_step=next_step, sqlstate=sqlstate, server_message=said)
    if isinstance(error, asyncpg.PostgresError):
        detail = f"PostgreSQL at {url.server} answered a statement of ours on database {url.database} with an error."
        return _refused(error, detail, retryable=_passes(error))
    return None


def journal_refused(tables: JournalTables, error: asyncpg.PostgresError) -> DatabaseRefused | None:
    """For what the server said when the journal was to be made; None for an error that is not about the journal."""
    if (error.sqlstate or "").startswith(ABOUT_THE_SERVER):
        return None
    where = f"{tables.schema}.{tables.journal_name}"
    return _refused(error, f"The database does not let the journal be made in {where}; nothing was touched.")


def _refused(error: asyncpg.PostgresError, detail: str, **facts: Any) -> DatabaseRefused:
    return DatabaseRefused("CM-505", detail, sqlstate=error.sqlstate, server_message=_sentence(error), **facts)


def _passes(error: asyncpg.PostgresError) -> bool:
    return (error.sqlstate or "").startswith(("40", "55P03", "57014"))


def _sentence(error: Any) -> str:
    fields = vars(error)
    names = frozenset(str(fields[name]) for name in _NAMES if fields.get(name))
    raised = fields.get("server_source_function") == RAISE
    return readable(ServerWords(fields.get("message") or str(error), error.sqlstate, names, raised))


def _table(url: URL) -> tuple[tuple[Any, str, str, str | None], ...]:
    """Kinds of errors, the code, the detail, and the next step where it is more special than the catalogue's."""
    host = url.server
    user, name = url.username or "", url.database or ""
    return (
        (asyncpg.InvalidPasswordError, "CM-501", f"PostgreSQL at {host} refused the password of user {user}.", None),
        (_LOGIN_REFUSED, "CM-502", f"PostgreSQL at {host} does not let user {user} in.", None),
        (
            asyncpg.InsufficientPrivilegeError,
            "CM-504",
            f"User {user} may not do this in database {name}.",
            f"GRANT CONNECT, CREATE ON DATABASE {name} TO {user}, or what the server says is missing.",
        ),
        (
            asyncpg.InvalidCatalogNameError,
            "CM-511",
            f"There is no database {name} at {host}.",
            f"Create it: createdb {name}, or ./scripts/setup_databases.sh for all.",
        ),
        (_NOT_WRITABLE, "CM-521", f"PostgreSQL at {host} is starting, stopping, or a standby.", None),
        (_NO_FREE_CONNECTION, "CM-531", f"PostgreSQL at {host} has no connection left for user {user}.", None),
        (
            _OUT_OF_RESOURCES,
            "CM-532",
            f"PostgreSQL at {host} has no disk space or no memory left for what was asked.",
            None,
        ),
        (_NO_SESSION, "CM-513", f"No session with PostgreSQL at {host} within {CONNECT_SECONDS:.0f} s.", None),
    )
