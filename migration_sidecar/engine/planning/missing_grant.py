"""What a role lacks to keep our records, said as the GRANT that gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asyncpg import InsufficientPrivilegeError

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.planning.preflight import no_records

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords


@asynccontextmanager
async def explain_missing_grant(connection: AnyConnection, records: MigrationRecords) -> AsyncIterator[None]:
    """Asks only after the server refused something; what it refused for another reason stays as it is."""
    try:
        yield
    except InsufficientPrivilegeError:
        lacking = no_records(await read_facts(connection, records))
        if lacking is None:
            raise
        raise DatabaseUnreachable.of(lacking) from None
