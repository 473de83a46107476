"""The database and the version tables that an environment migrates, as its env.py configured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.contract.messages import Problem
from migration_sidecar.protocol.catalog.database_identity import DatabaseIdentity, is_same
from migration_sidecar.protocol.first_upgrade.rule import OwnTable
from migration_sidecar.protocol.limits import CONNECT_SECONDS
from migration_sidecar.protocol.results import ConfiguredDatabase, SeenVersionTable
from migration_sidecar.protocol.url import URL, make_url
from migration_sidecar.protocol.version_table import VersionTable


@dataclass(frozen=True)
class MigrationTarget:
    """The target that a probe of env.py reported, or that the settings declare."""

    url: URL | None = field(repr=False)
    table: VersionTable
    default_schema: str = ""  # of an unqualified version table; empty if search_path has PostgreSQL's default value
    role: str = ""  # that env.py sets after login
    in_transaction: bool = False  # env.py began a transaction: all revisions are in it
    autocommit: bool = False  # env.py put its connection in AUTOCOMMIT: no revision is in a transaction
    is_split: bool = False  # the settings ask for a transaction per revision, and env.py for one transaction
    certain: bool = True  # the probe of env.py succeeded
    reason: Problem | None = None  # why not; None if the service's own connection will show the reason
    tables: tuple[VersionTable, ...] = ()  # all version tables that env.py configures
    sees_journal: bool = False  # `alembic check` and --autogenerate would take the journal for a table to drop
    is_journal_chosen: bool = False  # the settings name the journal's table
    only_connects: bool = False  # env.py has no effect of its own, so nothing is missed if it is not run
    is_assumed: bool = False  # env.py named no database that it migrates; only `reason` may be told of this one
    unseen: Problem | None = None  # what the probe met and the upgrade need not meet, so that not all is known before
    own_tables: frozenset[OwnTable] = frozenset()  # that env.py makes by itself
    identity: DatabaseIdentity | None = None  # of the database that env.py's connection reached; None if not known
    access: str = ""  # read_write or read_only, where env.py decides that and not the server's default
    # The version tables as Alembic would find them, where env.py wrote something before it migrates.
    prepared: Mapping[VersionTable, SeenVersionTable] = field(default_factory=dict)

    @property
    def session_settings(self) -> dict[str, str]:
        """The settings of env.py's session that our own sessions take too, because each reads what the other made."""
        settings = {"role": self.role} if self.role else {}
        if self.access == "read_write":
            settings["default_transaction_read_only"] = "off"
        return settings


def target_of(places: Sequence[ConfiguredDatabase], settings: Settings) -> MigrationTarget:
    """The target of an env.py that configured these. Raises Misconfigured unless it is one of PostgreSQL."""
    first = _only_one(places)
    tables = [VersionTable(place["version_table"], _schema(place), place["default_schema"]) for place in places]
    told = make_url(first["url"]) if first["url"] else None
    if told is not None and (backend := told.get_backend_name()) != "postgresql":
        raise Misconfigured("env.py", f"it connects to {backend}, and only PostgreSQL is supported")
    return MigrationTarget(
        settings.configured_url or told,
        tables[0],
        first["default_schema"],
        first["role"],
        first["in_transaction"],
        first["autocommit"],
        is_split=settings.transaction_per_revision
        # In AUTOCOMMIT, too: there the one transaction is Alembic's own, and a second autocommit_block fails in it.
        and not (first["transaction_per_migration"] or first["in_transaction"]),
        tables=tuple(dict.fromkeys(tables)),
        sees_journal=any(place["sees_journal"] for place in places),
        is_journal_chosen=settings.journal_table is not None,
        identity=first["identity"],
        reason=None if settings.configured_url or told else UNKNOWN_ADDRESS,
        access=first["access"],
        prepared={
            table: place["seen"]
            for table, place in zip(tables, places, strict=True)
            if place["prepares"] and place["seen"]
        },
    )


NAME_IT = "Name the same database with --database-url, for our own sessions: both are compared before anything is done."
UNKNOWN_ADDRESS = Problem.of(
    "CM-703",
    "Its driver does not show to which database it connected, or there are several; nothing was touched.",
    next_step=NAME_IT,
)


def assumed_target(reason: Problem, reached: Sequence[str], settings: Settings) -> MigrationTarget:
    """The target of an env.py that configured no connection: to be looked at, and nothing more.

    What `--database-url` names is not assumed, because every connection of env.py goes there.
    """
    if settings.configured_url is not None:
        return MigrationTarget(settings.configured_url, settings.version_table, certain=False, reason=reason)
    url = one_address(reached) if reached else settings.url
    source = "DATABASE_URL" if settings.from_environment else "sqlalchemy.url"
    only = f"is only assumed to be what it migrates: {'it connected there' if reached else f'{source} names it'}"
    detail = reason.detail if url is None else f"{reason.detail} Database {url.database} at {url.server} {only}."
    reason = reason.model_copy(update={"detail": detail})
    return MigrationTarget(url, settings.version_table, certain=False, reason=reason, is_assumed=True)


def one_address(reached: Sequence[str]) -> URL | None:
    """The address of all connections that env.py opened; None if they differ, or one of them is not known."""
    urls = [make_url(each) if each else None for each in reached]
    addresses = {(url.server, url.database) if url is not None else None for url in urls}
    return urls[0] if len(addresses) == 1 else None


def _only_one(places: Sequence[ConfiguredDatabase]) -> ConfiguredDatabase:
    """The first configured database. Raises Misconfigured if there are several: one operation changes one database."""
    first = places[0]
    if others := [place for place in places if not _is_same(first, place)]:
        names = ", ".join(sorted({make_url(place["url"]).database or "" for place in (first, *others) if place["url"]}))
        raise Misconfigured("env.py", f"it migrates several databases ({names}); choose one with --name or -x")
    return first


def _is_same(one: ConfiguredDatabase, other: ConfiguredDatabase) -> bool:
    if one["identity"] is not None and other["identity"] is not None:
        return is_same(one["identity"], other["identity"])
    first, second = (make_url(place["url"]) if place["url"] else None for place in (one, other))
    return first is None or second is None or (first.server, first.database) == (second.server, second.database)


def _schema(place: ConfiguredDatabase) -> str:
    return place["version_table_schema"] or place["default_schema"]


def has_server_timed_out(tried_at: float, ended_at: float) -> bool:
    """Whether the server accepted the connection and did not answer. Another try would take as long again."""
    return ended_at - tried_at > CONNECT_SECONDS * 0.9


def unreachable_target(reason: Problem, settings: Settings) -> MigrationTarget:
    """The target of an env.py that got no session, or lost it."""
    return MigrationTarget(None, settings.version_table, certain=False, reason=reason)


def server_timeout(url: URL) -> Problem:
    """The problem of such a server."""
    return Problem.of("CM-513", f"No session with PostgreSQL at {url.server} within {CONNECT_SECONDS} s.")


def session_lost(url: URL | None) -> Problem:
    """The problem of a probe whose session ended, because the server stopped or the network failed."""
    server = f"PostgreSQL at {url.server}" if url is not None else "the server"
    return Problem.of("CM-513", f"The session of env.py with {server} ended before env.py had configured anything.")
