"""Which replica drives an operation, or looks whether one is due: whoever holds an advisory lock of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migration_sidecar.protocol.lock_key import OPERATION_CLASS, START_UP_CLASS

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

_TRY = "SELECT pg_try_advisory_lock($1, hashtext($2))"


async def claim(connection: AnyConnection, operation_id: str) -> bool:
    """True when this session may drive the operation; given back when the session returns to its pool or dies."""
    claimed: bool = await connection.fetchval(_TRY, OPERATION_CLASS, operation_id)
    return claimed


async def claim_start(connection: AnyConnection, history: str) -> bool:
    """True when this session may look whether a start-up operation is due; given back in the same way."""
    claimed: bool = await connection.fetchval(_TRY, START_UP_CLASS, history)
    return claimed
