"""Decides whether two URLs lead to the same database. A host name, an address and a socket may mean the same server."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from migration_sidecar.database.connect import asyncpg_dsn
from migration_sidecar.protocol.url import URL

CONNECT_SECONDS = 4.0
# The start time of the server, in microseconds, and the database's oid on it.
_IDENTITY = """
SELECT pg_postmaster_start_time(), (SELECT oid FROM pg_database WHERE datname = current_database()),
       current_setting('port')
"""


async def is_same_database(one: URL, other: URL) -> bool | None:
    """Connects to both only if host, port or database differ in the text. None if one of them does not answer."""
    if _text(one) == _text(other):
        return True
    try:
        first, second = await asyncio.gather(_identity(one), _identity(other))
    except (OSError, asyncpg.CannotConnectNowError):
        return None
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # without a login nothing is proved
    return bool(first == second)


def _text(url: URL) -> tuple[str, str]:
    return url.server, url.database or ""


async def _identity(url: URL) -> Any:
    session = await asyncpg.connect(asyncpg_dsn(url), timeout=CONNECT_SECONDS)
    try:
        return tuple(await session.fetchrow(_IDENTITY) or ())
    finally:
        await session.close(timeout=CONNECT_SECONDS)
