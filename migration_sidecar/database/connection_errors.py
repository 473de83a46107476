"""The problem when a session cannot be opened or is lost: one row for each kind of error that asyncpg raises."""

from __future__ import annotations

from typing import Any

import asyncpg

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.protocol.url import URL

CONNECT_SECONDS = 5.0
_LOGIN_REFUSED = asyncpg.InvalidAuthorizationSpecificationError
_NOT_WRITABLE = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # ALLOW_CONNECTIONS false
)
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
    """None for an error that says nothing about the server at `url` or the session with it."""
    for kinds, code, detail, next_step in _table(url):
        if isinstance(error, kinds):
            # Of a refused right the server names the table, of the others it says no more than we do.
            said = str(error).partition("\n")[0].rstrip(".") if code == "CM-504" else None
            sqlstate = getattr(error, "sqlstate", None)
            return DatabaseUnreachable(code, detail, next_step=next_step, sqlstate=sqlstate, server_message=said)
    return None


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
