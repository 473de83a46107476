"""Whether two addresses lead to one database: a name, a number and a socket differ, and may mean the same."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from migration_sidecar.database.asyncpg_dsn import dsn
from migration_sidecar.protocol.url import URL

CONNECT_SECONDS = 4.0
# When the server was started, to the microsecond, and which of its databases it is.
_IDENTITY = """
SELECT pg_postmaster_start_time(), (SELECT oid FROM pg_database WHERE datname = current_database()),
       current_setting('port')
"""


async def is_same_database(one: URL, other: URL) -> bool | None:
    """The servers are asked only where the texts differ; None where one of them does not answer."""
    if _text(one) == _text(other):
        return True
    try:
        first, second = await asyncio.gather(_identity(one), _identity(other))
    except (OSError, asyncpg.CannotConnectNowError):
        return None
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # an address that nobody gets in at proves nothing
    return bool(first == second)


def _text(url: URL) -> tuple[str, str]:
    return url.server, url.database or ""


async def _identity(url: URL) -> Any:
    session = await asyncpg.connect(dsn(url), timeout=CONNECT_SECONDS)
    try:
        return tuple(await session.fetchrow(_IDENTITY) or ())
    finally:
        await session.close(timeout=CONNECT_SECONDS)
