"""Explains which GRANT a role needs to write our tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asyncpg import InsufficientPrivilegeError

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.database.connection_errors import journal_refused
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.planning.preflight import missing_grant_problem

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords


@asynccontextmanager
async def explain_missing_grant(connection: AnyConnection, records: MigrationRecords) -> AsyncIterator[None]:
    """Turns a refusal in the block into DatabaseUnreachable (CM-504) if a GRANT is missing.

    If none is missing, somebody's own rule refused, such as an event trigger: DatabaseRefused (CM-505).
    """
    try:
        yield
    except InsufficientPrivilegeError as error:
        lacking = missing_grant_problem(await read_facts(connection, records))
        if lacking is not None:
            raise DatabaseUnreachable.of(lacking) from None
        raise (journal_refused(records.tables, error) or error) from None
