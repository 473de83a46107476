"""The facts of a database as a migration would find them, where env.py changes the version table before it migrates.

Such an env.py renames its version table, for example, or makes the column wider. What is committed is then not what
Alembic sees when it runs, so env.py is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.contract.errors import EnvironmentStillLoading
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.facts import DatabaseFacts, read_facts
from migration_sidecar.database.load_deadline import LoadDeadline
from migration_sidecar.database.records import MigrationRecords
from migration_sidecar.engine.planning.version_tables import read_most_behind
from migration_sidecar.protocol.results import SeenVersionTable
from migration_sidecar.protocol.version_table import VersionTable

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

REPEAT_SECONDS = 5.0  # how long an answer of env.py is used while nothing that is committed changes

# Revisions, whether there is a version table, and its width.
Committed: TypeAlias = tuple[tuple[str, ...], bool, int | None]


@dataclass(frozen=True)
class _Answer:
    committed: Committed  # what was committed when env.py was asked
    seen: SeenVersionTable | None
    valid_until: float


class PreparedFacts:
    """Reads facts, and asks env.py where its own view of the version table may be another one."""

    def __init__(self, target_database: TargetDatabase) -> None:
        self._target_database = target_database
        self._answers: dict[VersionTable, _Answer] = {}

    async def read_most_behind(
        self,
        connection: AnyConnection,
        tables: Sequence[MigrationRecords],
        distance: Callable[[DatabaseFacts], tuple[bool, int]],
        loading: LoadDeadline,
    ) -> tuple[DatabaseFacts, Problem | None]:
        """As `version_tables.read_most_behind`."""
        return await read_most_behind(partial(self._read, connection, loading=loading), tables, distance)

    async def _read(self, connection: AnyConnection, records: MigrationRecords, loading: LoadDeadline) -> DatabaseFacts:
        """The facts of one version table. While another session migrates, what is committed counts."""
        facts = await read_facts(connection, records)
        table, committed = records.version_table, _committed(facts)
        seen = self._target_database.prepared.get(table)
        if seen is None or _is_equal(committed, seen):
            return facts
        if facts.lock_holder is not None and facts.lock_holder.pid != connection.get_server_pid():
            return facts
        seen = await self._ask(table, committed, loading)
        if seen is None or _is_equal(committed, seen):
            return facts
        exists = seen["oid"] is not None
        return replace(
            facts,
            revisions=tuple(seen["revisions"]),
            has_version_table=exists,
            has_version_column=True,
            version_width=seen["width"],
            is_prepared=True,
        )

    async def _ask(self, table: VersionTable, committed: Committed, loading: LoadDeadline) -> SeenVersionTable | None:
        """What env.py would find now; None if it writes nothing any more, or cannot be asked."""
        answer = self._answers.get(table)
        if answer is None or answer.committed != committed or answer.valid_until < monotonic():
            heard = False
            with suppress(EnvironmentStillLoading):
                heard = await self._target_database.ask_again(loading)
            seen = self._target_database.prepared.get(table) if heard else None
            answer = self._answers[table] = _Answer(committed, seen, monotonic() + REPEAT_SECONDS)
        return answer.seen


def _committed(facts: DatabaseFacts) -> Committed:
    return facts.revisions, facts.has_version_table, facts.version_width


def _is_equal(committed: Committed, seen: SeenVersionTable) -> bool:
    return committed == (tuple(seen["revisions"]), seen["oid"] is not None, seen["width"])
