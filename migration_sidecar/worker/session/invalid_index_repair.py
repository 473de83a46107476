"""Finds and drops INVALID indexes that a failed CREATE INDEX CONCURRENTLY of a revision left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import event, text

from migration_sidecar.protocol.catalog.invalid_indexes import INVALID_INDEXES
from migration_sidecar.protocol.journal_schema import from_ascii
from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.session import advisory_lock, journal_writer
from migration_sidecar.worker.session.session_settings import set_config_sql
from migration_sidecar.worker.source_text import decode_source

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.protocol.attempt import Attempt
    from migration_sidecar.protocol.orders import MigrationOrders

INVALID = text(INVALID_INDEXES)
_CONCURRENTLY = re.compile(r"\bconcurrently\b", re.IGNORECASE)
_REINDEX = re.compile(r"\breindex\b", re.IGNORECASE)


@dataclass(frozen=True)
class Index:
    """An INVALID index: its name quoted for SQL, and plain as in a revision file, with its table."""

    quoted: str
    name: str
    table: str

    def __str__(self) -> str:
        return self.quoted

    def is_named_in(self, source: str) -> bool:
        """Whether this text contains the index's name as a word."""
        return _names(source, self.name)

    def may_come_from(self, source: str) -> bool:
        """Whether this text may have built the index. PostgreSQL chooses the name in REINDEX, or if none is given."""
        return self.is_named_in(source) or _names(source, self.table) or _REINDEX.search(source) is not None


class MigrationSession(Protocol):
    """The parts of a `GuardedSession` that dropping an index needs."""

    connection: Connection
    orders: MigrationOrders
    attempt: Attempt
    key: dict[str, int]
    external: bool


def drop_own_invalid_indexes(session: MigrationSession, context: Any, revision: str, source: bytes) -> set[Index]:
    """Called before a revision that is not transactional. Drops the INVALID indexes that its earlier attempt left.

    Returns the other INVALID indexes. Raises MigrationRefused (CM-405) if the revision names one it did not make.
    """
    invalid = _invalid(session.connection)
    named = sorted((index for index in invalid if index.is_named_in(decode_source(source))), key=str)
    if not named:
        return invalid
    earlier = _invalid_before_last_try(session, revision)
    foreign = [index for index in named if earlier is None or index.quoted in earlier]
    if foreign or session.external:
        raise _foreign_invalid_index(revision, foreign or named)
    _drop(session, context, revision, named)
    return invalid - set(named)


@contextmanager
def refusing_new_invalid_indexes(
    connection: Connection, revision: str, source: bytes, before: set[Index]
) -> Iterator[None]:
    """Raises MigrationRefused (CM-405) if the revision in the block succeeds and leaves an INVALID index.

    An index that neither its file nor its statements can have made belongs to another session and is ignored.
    """
    texts = [decode_source(source)]

    def note_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _CONCURRENTLY.search(statement):
            texts.append(statement)

    event.listen(connection, "before_cursor_execute", note_statement)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", note_statement)
    new = [index for index in _invalid(connection) - before if any(index.may_come_from(each) for each in texts)]
    if new:
        raise _new_invalid_index(revision, sorted(new, key=str))


def _invalid(connection: Connection) -> set[Index]:
    return {Index(row.quoted, row.name, row.on_table) for row in connection.execute(INVALID)}


def _names(source: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source) is not None


def _invalid_before_last_try(session: MigrationSession, revision: str) -> set[str] | None:
    """What was INVALID before the last unfinished attempt of this revision; None if there was no such attempt."""
    table = session.orders.tables.journal
    row = session.connection.execute(
        text(f"""
            SELECT s.detail, EXISTS (SELECT FROM {table} e WHERE e.event_id <> s.event_id AND e.seq > s.seq
                AND e.revision = s.revision AND e.version_table = s.version_table
                AND e.kind IN ('applied', 'reverted')) AS ended
            FROM {table} s
            WHERE s.revision = :revision AND s.version_table = :version_table AND s.kind = 'nontx_started'
            ORDER BY s.seq DESC LIMIT 1"""),  # noqa: S608 - quoted
        {"revision": revision, "version_table": session.attempt.version_table},
    ).first()
    if row is None or row.ended:
        return None
    detail = json.loads(from_ascii(json.dumps(row.detail) if isinstance(row.detail, dict) else row.detail))
    return set(detail.get("invalid_before", []))


def _drop(session: MigrationSession, context: Any, revision: str, indexes: list[Index]) -> None:
    connection = session.connection
    set_guards = text(
        f"SELECT {set_config_sql(session.orders.guards, outside_transaction=True)} WHERE {advisory_lock.HELD_BY_US}"
    )
    if connection.execute(set_guards, session.key).first() is None:
        raise advisory_lock.lock_lost(revision)
    with nullcontext() if in_autocommit(connection) else context.autocommit_block():
        for index in indexes:
            context.connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index.quoted}".replace("%", "%%"))
    statement = journal_writer.insert_unfenced(session.orders.tables)
    dropped = [str(index) for index in indexes]
    journal_writer.write(connection, session.attempt, "resolved", statement, revision=revision, dropped=dropped)


def _foreign_invalid_index(revision: str, indexes: list[Index]) -> MigrationRefused:
    return MigrationRefused(
        "CM-405",
        f"{_listed(indexes)} is not valid, this revision names it and did not make it; nothing of it was done.",
        f"Find out whose it is, then remove it ({_statements(indexes)}) and migrate again.",
        revision=revision,
    )


def _new_invalid_index(revision: str, indexes: list[Index]) -> MigrationRefused:
    return MigrationRefused(
        "CM-405",
        f"The revision left {_listed(indexes)}, which is not valid, so nothing uses it.",
        f"Migrate again: the index is dropped and built again. Or remove it yourself: {_statements(indexes)}",
        revision=revision,
    )


def _listed(indexes: list[Index]) -> str:
    return ", ".join(str(index) for index in indexes)


def _statements(indexes: list[Index]) -> str:
    return " ".join(f"DROP INDEX CONCURRENTLY {index};" for index in indexes)
