"""Access to the audit's database: a transaction in the one role that the task needs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import asyncpg

from migration_sidecar.contract.audit import AuditBatch, AuditReceipt
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.errors import AuditNotReady, AuditTooSlow, NotStorable, RoleNotGranted

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

STATEMENT_SECONDS = 5
# The best index depends on the values, so plans are not cached. Combining several indexes pays off only if random reads
# are assumed to be cheap and the result fits into memory.
FOR_READING = """
SET LOCAL plan_cache_mode = 'force_custom_plan'; SET LOCAL random_page_cost = 1.1; SET LOCAL work_mem = '32MB'
"""
# Revisions grant the privileges together with the tables: a missing privilege means that the database is not at head.
NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCachedStatementError,  # a migration just changed the result type of a prepared statement
)


class Role(StrEnum):
    """PostgreSQL roles, created by revision audit_0006."""

    INGEST = "cas_ingest"  # calls append_events, reads nothing
    READER = "cas_reader"  # reads the views
    WITNESS = "cas_witness"  # reads what it signs, records anchors


async def append(database: DatabasePool, batch: AuditBatch) -> AuditReceipt:
    """Records a batch in one transaction: when it raises, no event of the batch was recorded."""
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
    """Raises NotStorable for NaN and infinity; pydantic would write them as null."""
    try:
        return json.dumps([event.model_dump() for event in batch.events], default=str, allow_nan=False)
    except ValueError:
        raise NotStorable from None


@asynccontextmanager
async def session(database: DatabasePool, role: Role) -> AsyncIterator[Connection[Any] | PoolConnectionProxy[Any]]:
    """A transaction in this role with our time limit.

    Raises AuditNotReady, AuditTooSlow, NotStorable or RoleNotGranted.
    """
    async with database.connection() as connection:
        try:
            async with connection.transaction():
                await _set_role(connection, role)
                yield connection
        except NOT_MIGRATED:
            raise AuditNotReady from None
        except asyncpg.QueryCanceledError:
            raise AuditTooSlow(STATEMENT_SECONDS) from None
        except asyncpg.DataError:
            raise NotStorable from None


async def _set_role(connection: Connection[Any] | PoolConnectionProxy[Any], role: Role) -> None:
    statements = f"SET LOCAL ROLE {role}; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
    try:
        await connection.execute(statements + (f"; {FOR_READING}" if role is Role.READER else ""))
    except asyncpg.InvalidParameterValueError:  # there is no such role
        raise AuditNotReady from None
    except asyncpg.InsufficientPrivilegeError:
        raise RoleNotGranted(role, connection.get_settings().session_authorization) from None
