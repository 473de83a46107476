"""Advisory locks that decide which replica carries out an operation, and which one looks for a start-up operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migration_sidecar.protocol.lock_key import OPERATION_CLASS, START_UP_CLASS

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

_TRY = "SELECT pg_try_advisory_lock($1, hashtext($2))"


async def claim(connection: AnyConnection, operation_id: str) -> bool:
    """Whether this session may carry out the operation. Free again when the session returns to its pool or ends."""
    claimed: bool = await connection.fetchval(_TRY, OPERATION_CLASS, operation_id)
    return claimed


async def claim_start(connection: AnyConnection, history: str) -> bool:
    """Whether this session may look if a start-up operation is due. Free again in the same way."""
    claimed: bool = await connection.fetchval(_TRY, START_UP_CLASS, history)
    return claimed
