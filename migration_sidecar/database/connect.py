"""Opens the service's own sessions with asyncpg, which keep prepared statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg import Connection

STATEMENTS_KEPT = 60


async def open_session(*arguments: Any, **options: Any) -> Connection:
    """Called by the pool to connect. Behind a connection pooler no prepared statements are kept.

    A pooler may send a later query to another session, where the prepared statement does not exist.
    """
    session: Connection = await asyncpg.connect(*arguments, statement_cache_size=STATEMENTS_KEPT, **options)
    try:
        direct = await _reaches_its_server(session)
    except BaseException:
        session.terminate()
        raise
    if direct:
        return session
    await session.close()
    return await asyncpg.connect(*arguments, statement_cache_size=0, **options)


async def _reaches_its_server(session: Connection) -> bool:
    """Whether the server process that answers is the one to which asyncpg connected."""
    # Without parameters, so that asyncpg prepares nothing for it; the answer is the number of rows.
    return await session.execute(f"SELECT WHERE pg_backend_pid() = {session.get_server_pid()}") == "SELECT 1"
