"""Operations and journal of one history, in the database that it migrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncpg import InsufficientPrivilegeError, PostgresError

from migration_sidecar.database.connection_errors import journal_refused
from migration_sidecar.database.journal_table import JournalTable
from migration_sidecar.database.operations_table import OperationsTable
from migration_sidecar.protocol.first_upgrade.rule import OwnTable
from migration_sidecar.protocol.journal_schema import AGREED, JournalTables, create_sql, history_key
from migration_sidecar.protocol.version_table import VersionTable

if TYPE_CHECKING:
    from migration_sidecar.database.connect import AnyConnection as AnyConnection


@dataclass(frozen=True)
class MigrationRecords:
    """The tables of one history. Records of another history in the same database are not seen."""

    tables: JournalTables
    version_table: VersionTable
    own_tables: frozenset[OwnTable] = frozenset()  # that env.py makes by itself
    beside_other_tables: bool = False  # the operator says that all tables are other people's

    @property
    def history(self) -> str:
        """The value of the column `version_table` in all rows of this history."""
        return history_key(self.version_table.name, self.version_table.schema)

    @property
    def operations(self) -> OperationsTable:
        """Its operations."""
        return OperationsTable(self.tables, self.history)

    @property
    def journal(self) -> JournalTable:
        """Its journal."""
        return JournalTable(self.tables, self.history)

    async def prepare(self, connection: AnyConnection) -> None:
        """Creates missing tables and updates those of an older release. Several replicas may call it at once.

        Raises DatabaseRefused (CM-505) if the server forbids it, and InsufficientPrivilegeError.
        """
        if await self.exist(connection):
            return
        try:
            await connection.execute(create_sql(self.tables))
        except InsufficientPrivilegeError:
            raise
        except PostgresError as error:
            refused = journal_refused(self.tables, error)
            if refused is None:
                raise
            raise refused from None

    async def versions(self, connection: AnyConnection) -> list[str]:
        """The rows of the version table; empty if there is none, or if a table of this name is no version table."""
        number = await connection.fetchval("SELECT to_regclass($1)::oid", self.version_table.qualified)
        if number is None:
            return []
        table = self.version_table.regclass_name(number)
        rows = await connection.fetch(f"SELECT to_jsonb(v) ->> 'version_num' AS revision FROM {table} v")  # noqa: S608
        return sorted(row["revision"] for row in rows if row["revision"] is not None)

    async def exist(self, connection: AnyConnection) -> bool:
        """Whether the tables are there as this release makes them."""
        exist: bool = await connection.fetchval(
            """SELECT EXISTS (
                 SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $3
                 WHERE n.nspname = $1 AND c.relname = $2)""",
            self.tables.schema,
            self.tables.operations_name,
            AGREED,  # the newest column
        )
        return exist
