"""Reads the audit: a page of events, one complete event, the events of one run."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import asyncpg

from migration_sidecar.contract.audit import RunEvents, StoredAuditEvent
from migration_sidecar.contract.audit_queries import AuditQuery
from migration_sidecar.contract.messages import AuditPage, RecordedAuditEvent
from migration_sidecar.contract.query_parameters import LAST_SEQ
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.errors import NoSuchEvent, NoSuchRequest
from services.cas_service.events.query import Span, read_cursor, scattered_statement, statement, write_cursor
from services.cas_service.events.store import Role, session

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

Event = TypeVar("Event", bound=RecordedAuditEvent)
EVENTS = "audit.events"
COLUMNS = ", ".join(RecordedAuditEvent.model_fields)
WHOLE = ", ".join(StoredAuditEvent.model_fields)
BOUNDS = f"SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM {EVENTS}"  # noqa: S608
STORY_EVENTS = 5000

# There are only a few dozen types: one index lookup for each is faster than reading the whole index.
KNOWN_TYPES = f"""
WITH RECURSIVE known (type) AS (
    (SELECT event_type FROM {EVENTS} ORDER BY event_type LIMIT 1)
    UNION ALL
    SELECT (SELECT event_type FROM {EVENTS} WHERE event_type > known.type ORDER BY event_type LIMIT 1)
    FROM known WHERE known.type IS NOT NULL
)
SELECT type FROM known WHERE type IS NOT NULL
"""  # noqa: S608


async def page(database: DatabasePool, query: AuditQuery) -> AuditPage:
    """One page of events. Raises BadRequest for a bad cursor or type."""
    async with session(database, Role.READER) as connection:
        span = await _span(connection, query)
        types = await _matching_types(connection, query.types)
        rows = await _rows(connection, query, types, span)
    events = [_event(RecordedAuditEvent, row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return AuditPage(events=events, next_cursor=write_cursor(query.order, events[-1].seq) if more else None)


async def event(database: DatabasePool, key: UUID | int) -> StoredAuditEvent:
    """One event by its id or number. Raises NoSuchEvent."""
    column = "seq" if isinstance(key, int) else "event_id"
    async with session(database, Role.READER) as connection:
        row = await connection.fetchrow(f"SELECT {WHOLE} FROM {EVENTS} WHERE {column} = $1", key)  # noqa: S608
    if row is None:
        raise NoSuchEvent(str(key))
    return _event(StoredAuditEvent, row)


async def run_events(database: DatabasePool, request_id: str) -> RunEvents:
    """The events of one request, with its beginning and end. Raises NoSuchRequest."""
    query = f"SELECT {COLUMNS} FROM {EVENTS} WHERE request_id = $1 ORDER BY occurred_at, seq LIMIT $2"  # noqa: S608
    async with session(database, Role.READER) as connection:
        rows = await connection.fetch(query, request_id, STORY_EVENTS + 1)
    if not rows:
        raise NoSuchRequest(request_id)
    events = [_event(RecordedAuditEvent, row) for row in rows[:STORY_EVENTS]]
    requested = next((each for each in events if each.event_type == "migration.requested"), None)
    finished = next((each for each in reversed(events) if each.event_type == "migration.finished"), None)
    return RunEvents(
        request_id=request_id,
        actor=requested.actor if requested else None,
        outcome=finished.outcome if finished else None,
        asked_at=requested.occurred_at if requested else None,
        finished_at=finished.occurred_at if finished else None,
        services=list(dict.fromkeys(each.service for each in events if each.service)),
        events=events,
        more=len(rows) > STORY_EVENTS,
    )


async def _span(connection: AnyConnection, query: AuditQuery) -> Span:
    first = await _first_seq_at(connection, query.since) if query.since else 1
    end = await _first_seq_at(connection, query.until) if query.until else LAST_SEQ
    span = Span(first, end)
    return span if query.cursor is None else span.beyond(read_cursor(query.order, query.cursor), query.order)


async def _rows(connection: AnyConnection, query: AuditQuery, types: list[str], span: Span) -> list[asyncpg.Record]:
    """One filter needs one index. How often several filters match together is known only after trying.

    So a span near the cursor is tried first; if that does not fill the page, the indexes of all filters are
    combined.
    """
    if not query.asks_several:
        text, values = statement(EVENTS, COLUMNS, query, types, span)
        return list(await connection.fetch(text, *values))
    span = await _stored_span(connection, span)
    near = span.near(query.order)
    text, values = statement(EVENTS, COLUMNS, query, types, near)
    rows = await connection.fetch(text, *values)
    if len(rows) <= query.limit and near != span:
        text, values = scattered_statement(EVENTS, COLUMNS, query, types, span)
        rows = await connection.fetch(text, *values)
    return list(rows)


async def _stored_span(connection: AnyConnection, span: Span) -> Span:
    """The part of the span that is stored."""
    least, most = await connection.fetchrow(BOUNDS)
    return Span(max(span.first, least), min(span.end, most + 1))


async def _first_seq_at(connection: AnyConnection, moment: datetime) -> int:
    """Binary search: `seq` and `recorded_at` are assigned under one lock, so a later event has a later time."""
    least, most = await connection.fetchrow(BOUNDS)
    low, high = least, most + 1
    while low < high:
        middle = (low + high) // 2
        row = await connection.fetchrow(
            f"SELECT seq, recorded_at FROM {EVENTS} WHERE seq >= $1 ORDER BY seq LIMIT 1",  # noqa: S608
            middle,
        )
        if row is None or row["recorded_at"] >= moment:
            high = middle
        else:
            low = row["seq"] + 1
    return int(low)


async def _matching_types(connection: AnyConnection, patterns: list[str]) -> list[str]:
    """Replaces patterns such as `revision.*` by the event types that match them."""
    prefixes = tuple(name.removesuffix("*") for name in patterns if name.endswith("*"))
    whole = [name for name in patterns if not name.endswith("*")]
    if not prefixes:
        return list(dict.fromkeys(whole))
    known = [row["type"] for row in await connection.fetch(KNOWN_TYPES)]
    return list(dict.fromkeys([*whole, *(name for name in known if name.startswith(prefixes))]))


def _event(kind: type[Event], row: asyncpg.Record) -> Event:
    return kind(**{**row, "detail": json.loads(row["detail"])})
