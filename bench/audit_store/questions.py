"""The queries of an auditor: each view in SQL, pages of GET /audit/events, and verification of the whole chain."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import psycopg

from bench.audit_store.ground import SERVICE
from migration_sidecar.config.settings import read_settings
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.engine import Engine
from services.cas_service.events import reader
from services.cas_service.events.query import AuditQuery, Order, write_cursor
from services.cas_service.events.store import Role, session
from services.cas_service.hash_chain.chain import Link
from services.cas_service.hash_chain.chain_check import check_piece, require_shown

Result = TypeVar("Result")

TIMES = 5
PIECE = 20_000  # events, as in a request of `coordinator audit verify`

VIEWS = {
    "revisions: the last ten": "SELECT * FROM audit.revisions ORDER BY seq DESC LIMIT 10",
    "revisions: where one went": "SELECT * FROM audit.revisions WHERE revision = 'one_17'",
    "revisions: of a service, this week": "SELECT * FROM audit.revisions WHERE service = 'cds-3' "
    "AND occurred_at >= now() - interval '7 days' ORDER BY seq DESC",
    "revisions: of a request": "SELECT * FROM audit.revisions WHERE request_id = 'release-777'",
    "table_changes: who changed it last": "SELECT * FROM audit.table_changes "
    "WHERE table_name = 'public.table_5' ORDER BY seq DESC LIMIT 1",
    "failures: this quarter": "SELECT * FROM audit.failures WHERE occurred_at >= date_trunc('quarter', now())",
    "outside_windows: the last hundred": "SELECT * FROM audit.outside_windows ORDER BY seq DESC LIMIT 100",
    "outside_windows: this week": "SELECT * FROM audit.outside_windows "
    "WHERE occurred_at >= now() - interval '7 days' ORDER BY seq",
    "by_hand: this quarter": "SELECT * FROM audit.by_hand WHERE occurred_at >= date_trunc('quarter', now())",
    "by_hand: the last hundred": "SELECT * FROM audit.by_hand ORDER BY seq DESC LIMIT 100",
    "runs: the last twenty": "SELECT * FROM audit.runs ORDER BY seq DESC LIMIT 20",
    "runs: one": "SELECT * FROM audit.runs WHERE request_id = 'release-777'",
    "events: the last hundred": "SELECT * FROM audit.events ORDER BY seq DESC LIMIT 100",
}

WINDOW = """
INSERT INTO audit.windows (weekdays, opens, closes, time_zone) VALUES ('{1,2,3,4,5}', '08:00', '18:00', 'Europe/Zurich')
"""


@dataclass(frozen=True)
class Answer:
    """How long one query took, over TIMES repetitions."""

    what: str
    rows: int
    median_milliseconds: float
    most_milliseconds: float


def pages(events: int) -> dict[str, AuditQuery]:
    """The queries for pages, by their description. `events` is the number of stored events."""
    deep = write_cursor(Order.OLDEST, events // 2)
    asked: dict[str, dict[str, Any]] = {
        "first page": {},
        "1 000 events": {"limit": 1000},
        "newest first": {"order": "newest"},
        "deep cursor": {"cursor": deep},
        "request_id": {"request_id": "release-777"},
        "service": {"service": "cds-3", "order": "newest"},
        "database": {"database": "cds_3"},
        "type": {"type": "migration.finished", "order": "newest"},
        "types by their beginning": {"type": "migration.*,revision.*", "order": "newest"},
        "actor": {"actor": "person-17"},
        "actor nobody knows": {"actor": "nobody"},
        "outcome": {"outcome": "failed"},
        "outcome that never was": {"outcome": "cancelled"},
        "revision": {"revision": "one_17"},
        "revision nobody knows": {"revision": "nothing"},
        "a span of time": {"from": "2026-06-01T00:00:00Z", "to": "2027-06-02T00:00:00Z"},
        "service and outcome": {"service": "cds-8", "outcome": "failed", "order": "newest"},
        "actor and type": {"actor": "person-17", "type": "migration.requested"},
        "a service and another one's database": {"service": "cds-3", "database": "cds_4"},
        "a type that never has that outcome": {"type": "migration.step_finished", "outcome": "applied"},
        "a person who never failed there": {"actor": "person-17", "service": "cds-3", "outcome": "failed"},
    }
    return {what: AuditQuery.model_validate(query) for what, query in asked.items()}


def ask_views(url: str) -> list[Answer]:
    """Queries each view in the role of an auditor, and reads all rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(WINDOW)
        connection.execute("SET ROLE cas_reader")
        return [_timed(connection, what, question) for what, question in VIEWS.items()]


def _timed(connection: psycopg.Connection[tuple[object, ...]], what: str, question: str) -> Answer:
    took: list[float] = []
    for _ in range(TIMES):
        begun = time.monotonic()
        rows = len(connection.execute(question).fetchall())
        took.append(time.monotonic() - begun)
    return Answer(what, rows, median(took) * 1000, max(took) * 1000)


async def ask_pages(url: str, events: int) -> list[Answer]:
    """Reads each page through the service's own function, without HTTP."""
    return await _with_database(url, lambda database: _ask_pages(database, events))


async def verify(url: str) -> float:
    """Verifies the whole chain. Returns events per second; raises Broken if the chain is wrong."""
    return await _with_database(url, _verify)


async def _with_database(url: str, ask: Callable[[DatabasePool], Awaitable[Result]]) -> Result:
    engine = Engine(read_settings(SERVICE / "alembic.ini", {"DATABASE_URL": url}))
    try:
        return await ask(engine.database)
    finally:
        await engine.close()


async def _ask_pages(database: DatabasePool, events: int) -> list[Answer]:
    answers = []
    for what, query in pages(events).items():
        took: list[float] = []
        for _ in range(TIMES):
            begun = time.monotonic()
            page = await reader.page(database, query)
            took.append(time.monotonic() - begun)
        answers.append(Answer(what, len(page.events), median(took) * 1000, max(took) * 1000))
    return answers


async def _verify(database: DatabasePool) -> float:
    begun, last, events = time.monotonic(), Link(), 0
    while True:
        async with session(database, Role.WITNESS) as connection:
            piece = await check_piece(connection, last, PIECE)
            await require_shown(connection, piece)
        if piece.events == 0:
            return events / (time.monotonic() - begun)
        last, events = piece.last, events + piece.events
