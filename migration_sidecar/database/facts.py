"""Reads the facts about a database that plans and statuses need: revisions, locks, privileges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migration_sidecar.contract.messages import LockHolder
from migration_sidecar.database.records import MigrationRecords
from migration_sidecar.protocol.catalog.invalid_indexes import INVALID_INDEXES
from migration_sidecar.protocol.first_upgrade.other_histories import (
    are_unowned,
    other_version_tables,
    version_rows,
    version_tables,
)
from migration_sidecar.protocol.first_upgrade.relations import (
    Relation,
    exists_other_relation,
    first_upgrade_record,
    other_relations,
)
from migration_sidecar.protocol.first_upgrade.rule import (
    NOTHING,
    OTHER_TABLES,
    Beside,
    InTheWay,
    OwnTable,
    in_the_way,
    stands_alone,
    unread,
)
from migration_sidecar.protocol.journal_schema import HISTORY
from migration_sidecar.protocol.lock_key import holder_of, lock_key
from migration_sidecar.protocol.results import MadeTables
from migration_sidecar.protocol.version_table import VersionTable

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

# Our tables are looked up by name, because to_regclass fails without USAGE on the schema.
_FACTS = f"""
SELECT to_regclass($1)::oid AS version_table,
       version.attnum IS NOT NULL AS has_version_column,
       CASE WHEN version.atttypmod > 4 THEN version.atttypmod - 4 END AS version_width,
       journal.oid IS NOT NULL AS has_journal,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
       CASE WHEN space.oid IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
              THEN format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
            WHEN space.oid IS NOT NULL AND NOT (has_schema_privilege(space.oid, 'USAGE')
                 AND (has_schema_privilege(space.oid, 'CREATE') OR journal.oid IS NOT NULL))
              THEN format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', $4::text, current_user)
            WHEN journal.oid IS NOT NULL AND NOT (has_table_privilege(journal.oid, 'SELECT')
                 AND has_table_privilege(journal.oid, 'INSERT') AND has_table_privilege(journal.oid, 'UPDATE'))
              THEN format('GRANT SELECT, INSERT, UPDATE ON %I.%I, %I.%I TO %I', $4::text, $5::text, $4::text, $6::text,
                          current_user)
       END AS missing_grant,
       {exists_other_relation("$1", "$4", "$5", "$6")} AS has_tables,
       holder.pid AS holder_pid, holder.application AS holder_application, holder.since AS holder_since,
       pg_backend_pid() AS backend_pid
FROM (SELECT 1) AS one
LEFT JOIN pg_attribute AS version
  ON version.attrelid = to_regclass($1) AND version.attname = 'version_num' AND NOT version.attisdropped
LEFT JOIN pg_namespace AS space ON space.nspname = $4
LEFT JOIN pg_class AS journal ON journal.relnamespace = space.oid AND journal.relname = $5
LEFT JOIN LATERAL ({holder_of("$2", "$3")}) AS holder ON true
"""  # noqa: S608 - our own text


@dataclass(frozen=True)
class DatabaseFacts:
    """Facts about one database and one history, read at one moment. `revisions` are the rows of the version table."""

    revisions: tuple[str, ...]
    has_version_table: bool
    has_journal: bool
    is_ours: bool  # the journal has rows of this history, so unknown revisions come from a newer image
    read_only: bool
    missing_grant: str | None  # the GRANT without which the journal cannot be written
    pooled: bool  # a connection pooler is in between: another session answered than the one opened
    lock_holder: LockHolder | None
    has_version_column: bool = True  # false if a table of this name is no version table
    is_prepared: bool = False  # the version table is told as env.py will have changed it, which is not committed
    version_width: int | None = None  # maximum length of a revision id, in characters; None for no limit
    other_version_tables: tuple[
        frozenset[str], ...
    ] = ()  # file marks per other history; read only if tables must be explained
    other_histories: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # rows of other version tables, likewise

    relations: tuple[Relation, ...] = ()  # tables that may be this history's; read only where there is no revision
    own_tables: frozenset[OwnTable] = frozenset()  # that env.py makes by itself
    began_alone: bool = False  # a first upgrade began while none of this history's tables were there
    beside_other_tables: bool = False  # somebody said that all tables are other people's

    def in_the_way(self, known: Collection[str], made: MadeTables | None) -> list[InTheWay]:
        """The tables because of which a first upgrade is refused. `known` are the file marks of this history."""
        if self.beside_other_tables:
            return []
        unowned = are_unowned(self.other_version_tables, self.other_histories.values(), known)
        history = made or unread()
        return in_the_way(
            self.relations, history, has_neighbours=not unowned, own=self.own_tables, began_alone=self.began_alone
        )

    def beside(self, made: MadeTables | None, tables: Sequence[VersionTable]) -> Beside | None:
        """What a first upgrade stands beside, for the worker and the journal. None if the worker has to judge.

        Of several `tables` that env.py configures, perhaps in several schemas, these are the facts of one only.
        """
        if self.revisions or self.is_prepared:
            return None
        if len(tables) <= 1 and stands_alone(self.relations, made or unread(), own=self.own_tables):
            return NOTHING
        return OTHER_TABLES if self.beside_other_tables else None


async def read_facts(connection: AnyConnection, records: MigrationRecords) -> DatabaseFacts:
    """Reads the facts in one to six queries, without changing anything."""
    table, tables = records.version_table, records.tables
    key = lock_key(table.name, table.schema)
    names = (tables.schema, tables.journal_name, tables.operations_name)
    (row,) = await connection.fetch(_FACTS, table.qualified, key["class_id"], key["object_id"], *names)
    revisions, is_ours = await _version_rows(connection, records, row) if row["has_version_column"] else ([], False)
    others: list[Any] = []
    relations: tuple[Relation, ...] = ()
    unexplained, began_alone = row["has_tables"] and not revisions, False
    if unexplained and row["has_journal"] and not row["missing_grant"]:
        (record,) = await connection.fetch(first_upgrade_record(tables.journal, "$1"), records.history)
        unexplained, began_alone = not record["is_base"], record["began_alone"]
        others = await connection.fetch(other_version_tables(tables, "$1"), records.history)
    if unexplained:
        query = other_relations("$1", "$2::text", "$3::text", "$4", "$5", "$6")
        found = await connection.fetch(query, table.qualified, table.schema, table.default_schema, *names)
        relations = tuple(Relation(**each) for each in found)
    holder = None
    if row["holder_pid"] is not None:
        holder = LockHolder(pid=row["holder_pid"], application=row["holder_application"], since=row["holder_since"])
    return DatabaseFacts(
        revisions=tuple(revisions),
        has_version_table=row["version_table"] is not None,
        has_journal=row["has_journal"],
        is_ours=is_ours,
        read_only=row["read_only"],
        missing_grant=row["missing_grant"],
        pooled=row["backend_pid"] != connection.get_server_pid(),
        lock_holder=holder,
        has_version_column=row["has_version_column"] or row["version_table"] is None,
        version_width=row["version_width"],
        other_version_tables=tuple(frozenset(each["files"]) for each in others),
        other_histories=await _versions_elsewhere(connection, table) if unexplained else {},
        relations=relations,
        own_tables=records.own_tables,
        began_alone=began_alone,
        beside_other_tables=records.beside_other_tables,
    )


async def _versions_elsewhere(connection: AnyConnection, table: VersionTable) -> dict[str, frozenset[str]]:
    tables = await connection.fetch(version_tables("$1", "$2::text"), table.qualified, table.schema)
    names = [row["name"] for row in tables]
    rows = await connection.fetch(version_rows(names)) if names else []
    return {name: frozenset(row["held"] for row in rows if row["place"] == place) for place, name in enumerate(names)}


async def _version_rows(connection: AnyConnection, records: MigrationRecords, row: Any) -> tuple[list[str], bool]:
    readable = row["has_journal"] and row["missing_grant"] is None
    journaled = f"EXISTS (SELECT FROM {records.tables.journal} WHERE {HISTORY} = $1)" if readable else "$1 = ''"
    query = (
        f"SELECT version_num, {journaled} AS is_ours FROM {records.version_table.regclass_name(row['version_table'])}"  # noqa: S608
    )
    rows = await connection.fetch(query, records.history)
    return sorted(str(each["version_num"]) for each in rows), any(each["is_ours"] for each in rows)


async def invalid_indexes(connection: AnyConnection) -> list[str]:
    """The statements that drop each INVALID index that no session is building now."""
    return [f"DROP INDEX CONCURRENTLY {row['quoted']}" for row in await connection.fetch(INVALID_INDEXES)]


async def long_transactions(connection: AnyConnection, older_than_seconds: int) -> list[LockHolder]:
    """Other sessions of this database with an older transaction. DDL may have to wait for them."""
    rows = await connection.fetch(
        """SELECT pid, coalesce(application_name, '') AS application, xact_start AS since FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < clock_timestamp() - make_interval(secs => $1)""",
        older_than_seconds,
    )
    return [LockHolder(pid=row["pid"], application=row["application"], since=row["since"]) for row in rows]
