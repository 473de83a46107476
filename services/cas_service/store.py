"""The one way to the audit's database: a transaction in the role that what is done needs, and no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import asyncpg

from migration_sidecar.contract.messages import AuditBatch, AuditReceipt
from migration_sidecar.database.pool import Database
from services.cas_service.errors import AuditNotReady, AuditTooSlow, NotStorable, RoleNotGranted

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

STATEMENT_SECONDS = 5
# Which index answers depends on the very values that are asked for; to ask several and keep what is in all of them is
# worth it only where pages are not thought to be far apart, and must fit into memory.
FOR_READING = """
SET LOCAL plan_cache_mode = 'force_custom_plan'; SET LOCAL random_page_cost = 1.1; SET LOCAL work_mem = '32MB'
"""
# Rights come with the tables and functions, revision by revision: without a right it is not at head either.
NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCachedStatementError,  # it is being migrated: what a kept statement gives has another type now
)


class Role(StrEnum):
    """Made by revision audit_0006."""

    INGEST = "cas_ingest"  # calls append_events, sees nothing
    READER = "cas_reader"  # sees the views
    WITNESS = "cas_witness"  # sees what it signs, records anchors


async def append(database: Database, batch: AuditBatch) -> AuditReceipt:
    """One transaction; when it raises, nothing of the batch was recorded."""
    events = as_json(batch)
    async with session(database, Role.INGEST) as connection:
        rows = await connection.fetch("SELECT event_id, result FROM audit.append_events($1::jsonb)", events)
    results = [row["result"] for row in rows]
    return AuditReceipt(
        stored=results.count("stored"),
        repeated=results.count("repeated"),
        conflicts=[row["event_id"] for row in rows if row["result"] == "conflict"],
    )


def as_json(batch: AuditBatch) -> str:
    """Raises NotStorable for NaN and infinity, which pydantic's own JSON would turn into null."""
    try:
        return json.dumps([event.model_dump() for event in batch.events], default=str, allow_nan=False)
    except ValueError:
        raise NotStorable from None


@asynccontextmanager
async def session(database: Database, role: Role) -> AsyncIterator[Connection[Any] | PoolConnectionProxy[Any]]:
    """A transaction in that role, with our time limit; raises what a caller may be told."""
    async with database.connection() as connection:
        try:
            async with connection.transaction():
                await _become(connection, role)
                yield connection
        except NOT_MIGRATED:
            raise AuditNotReady from None
        except asyncpg.QueryCanceledError:
            raise AuditTooSlow(STATEMENT_SECONDS) from None
        except asyncpg.DataError:
            raise NotStorable from None


async def _become(connection: Connection[Any] | PoolConnectionProxy[Any], role: Role) -> None:
    begin = f"SET LOCAL ROLE {role}; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
    try:
        await connection.execute(begin + (f"; {FOR_READING}" if role is Role.READER else ""))
    except asyncpg.InvalidParameterValueError:  # there is no such role
        raise AuditNotReady from None
    except asyncpg.InsufficientPrivilegeError:
        raise RoleNotGranted(role, connection.get_settings().session_authorization) from None
