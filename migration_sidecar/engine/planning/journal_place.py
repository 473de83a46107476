"""Makes the journal where it may be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migration_sidecar.contract.errors import JournalInSight
from migration_sidecar.engine.planning.preflight import journal_in_sight

if TYPE_CHECKING:
    from migration_sidecar.alembic_environment.migration_target import MigrationTarget
    from migration_sidecar.database.records import AnyConnection, MigrationRecords


async def prepare(connection: AnyConnection, records: MigrationRecords, migration_target: MigrationTarget) -> None:
    """Creates missing tables. Raises JournalInSight (CM-415), DatabaseRefused (CM-505), InsufficientPrivilegeError."""
    if migration_target.sees_journal and not await records.exist(connection):
        problem = journal_in_sight(migration_target, has_journal=False)
        if problem is not None:
            raise JournalInSight.of(problem)
    await records.prepare(connection)
