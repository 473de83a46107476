"""Which replica drives an operation, or looks whether one is due: whoever holds an advisory lock of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection


async def claim(connection: AnyConnection, operation_id: str) -> bool:
    """True when this session may drive the operation; given back when the session returns to its pool or dies."""
    claimed: bool = await connection.fetchval("SELECT pg_try_advisory_lock(19786, hashtext($1))", operation_id)
    return claimed


async def claim_start(connection: AnyConnection, history: str) -> bool:
    """True when this session may look whether a start-up operation is due; given back in the same way."""
    claimed: bool = await connection.fetchval("SELECT pg_try_advisory_lock(19787, hashtext($1))", history)
    return claimed
