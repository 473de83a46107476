"""The `result` of a worker's `done` report; which one it is follows from the job."""

from __future__ import annotations

from typing import TypedDict, Union

from migration_sidecar.protocol.catalog.database_identity import DatabaseIdentity


class FindingFacts(TypedDict):
    """A line of a revision file that cannot do what its author meant."""

    kind: str  # concurrently | autocommit_block | offline_only | drops_journal | raises | missing
    action: str  # upgrade | downgrade
    line: int


class ChangeFacts(TypedDict):
    """What the text of a revision file says about the change it makes."""

    transactional: bool
    may_widen_version: bool  # the column of the version table, in which Alembic keeps the id
    reversible: bool
    destructive_upgrade: bool
    destructive_downgrade: bool
    findings: list[FindingFacts]


class RevisionFacts(ChangeFacts):
    """One revision as its file describes it."""

    id: str
    message: str
    sha256: str  # of the file
    path: str
    down: list[str]
    depends_on: list[str]
    labels: list[str]


class MadeTables(TypedDict):
    """What the revisions can have made, as far as their files say. A schema is empty if none is named, * for any."""

    tables: list[tuple[str, str, str]]  # schema, table or view, revision
    columns: list[tuple[str, str, str, str]]  # schema, table, column that is added to it, revision
    unread: list[str]  # revisions that may make tables whose names cannot be read in their files


class HistoryFacts(TypedDict):
    """Every revision in the order in which Alembic loaded the files."""

    heads: list[str]
    revisions: list[RevisionFacts]
    makes_version_table: bool  # env.py mentions the version table's column
    makes: MadeTables


class ResolvedTarget(TypedDict):
    """An absolute target and the revisions on the way to it, in their order."""

    target: str
    steps: list[str]


class RenderedSql(TypedDict):
    """The SQL of one revision, or the reason why there is none."""

    sql: str | None
    reason: str | None


class BuiltSchema(TypedDict):
    """The revisions that the version table of a built schema holds."""

    revisions: list[str]


class SeenVersionTable(TypedDict):
    """A version table as Alembic finds it after all that env.py did before, committed or not."""

    oid: int | None  # None if the table does not exist
    revisions: list[str]
    width: int | None  # of its column, in characters; None for no limit


class ConfiguredDatabase(TypedDict):
    """One call of context.configure in env.py: which database and which version table it is for."""

    url: str  # with password; empty if the driver's connection does not show its address
    version_table: str
    version_table_schema: str  # as Alembic uses it; empty where env.py names none
    default_schema: str  # of an unqualified version table; empty if search_path has PostgreSQL's default value
    role: str  # set by env.py after it logged in, or empty
    migrates: bool  # env.py went on to run_migrations; the fields below are known only then
    in_transaction: bool
    transaction_per_migration: bool
    autocommit: bool
    sees_journal: bool  # autogenerate would compare our tables with env.py's metadata
    identity: DatabaseIdentity | None
    seen: SeenVersionTable | None
    prepares: bool  # env.py wrote before run_migrations, so the version table may be another one by then
    access: str  # by env.py's own choice: read_write | read_only; empty if the server's default counts


# By revision id for a render job; None for a migration, and for an env.py that configures nothing.
Result = Union[HistoryFacts, ResolvedTarget, BuiltSchema, dict[str, RenderedSql], None]  # noqa: UP007 - evaluated by Python 3.9
