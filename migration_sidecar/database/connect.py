"""Opens the service's own sessions by a URL that was written for another driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from migration_sidecar.protocol.catalog.database_identity import IDENTITY, MAY_READ_SYSTEM, SYSTEM, DatabaseIdentity
from migration_sidecar.protocol.journal_schema import UTF_8, from_ascii, to_ascii
from migration_sidecar.protocol.url import URL

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection: TypeAlias = Connection | PoolConnectionProxy

STATEMENT_CACHE_SIZE = 60  # a session keeps the statements that it was asked before, so they are parsed only once
# PostgreSQL refuses what asyncpg does not know and passes on: connect_timeout and keepalives, for example.
ASYNCPG_PARAMETERS = {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service", "servicefile", "options"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
}


async def connect(*arguments: Any, **options: Any) -> Connection:
    """Called by the pool to connect. Behind a connection pooler no prepared statements are kept.

    A pooler may send a later query to another session, where the prepared statement does not exist. In a database whose
    encoding is not UTF-8, JSON is written in ASCII and read back from it.
    """
    session: Connection = await asyncpg.connect(*arguments, statement_cache_size=STATEMENT_CACHE_SIZE, **options)
    try:
        direct = await _is_direct(session)
    except BaseException:
        session.terminate()
        raise
    if not direct:
        await session.close()
        session = await asyncpg.connect(*arguments, statement_cache_size=0, **options)
    if session.get_settings().server_encoding != UTF_8:
        await session.set_type_codec("jsonb", schema="pg_catalog", encoder=to_ascii, decoder=from_ascii, format="text")
    return session


async def _is_direct(session: Connection) -> bool:
    """Whether the server process that answers is the one to which asyncpg connected."""
    # Without parameters, so that asyncpg prepares nothing for it; the answer is the number of rows.
    return await session.execute(f"SELECT WHERE pg_backend_pid() = {session.get_server_pid()}") == "SELECT 1"


async def reaches(session: Connection, expected: DatabaseIdentity) -> bool:
    """Whether the session is in this database of this running server."""
    started, database = expected["started"], expected["database"]
    query = f"SELECT FROM (SELECT {IDENTITY}) AS here WHERE started = {started:d} AND database = {database:d}"
    return await session.execute(query) == "SELECT 1"  # without parameters, so that nothing is prepared


async def identity_of(session: Connection) -> DatabaseIdentity:
    """The database that the session is in."""
    row: Any = await session.fetchrow(f"SELECT {IDENTITY}")
    system = await session.fetchval(SYSTEM) if await session.fetchval(MAY_READ_SYSTEM) else None
    return {"started": row["started"], "database": row["database"], "system": system}


def asyncpg_dsn(url: URL) -> str:
    """For asyncpg: without what only another driver understands, and with several hosts as libpq writes them."""
    query = {
        key: value if isinstance(value, str) else ",".join(value)
        for key, value in url.query.items()
        if key in ASYNCPG_PARAMETERS
    }
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
