"""Writers in their own processes: how fast they append, and what is stored when half of them are killed."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any
from uuid import uuid4

import psycopg

from bench.findings import percentile

PROCESSES = multiprocessing.get_context("fork")
APPEND = "SELECT * FROM audit.append_events(%s::jsonb)"
# Enough time for PostgreSQL to notice that a client was killed.
DISCONNECT_SECONDS = 10.0

CHAIN = """
SELECT count(*), coalesce(max(seq), 0),
       count(*) FILTER (WHERE prev_hash <> predecessor OR hash <> audit.event_hash(event)
                        OR payload_hash <> audit.payload_hash(event))
FROM (SELECT event, event.*, lag(hash, 1, repeat('0', 64)) OVER (ORDER BY seq) AS predecessor
      FROM public.audit_events AS event) AS link
"""


@dataclass(frozen=True)
class Speed:
    """How fast one combination of writers and batch size appends; the percentiles are of one batch."""

    batch: int
    writers: int
    events_per_second: float
    p50_milliseconds: float
    p95_milliseconds: float


@dataclass(frozen=True)
class Killed:
    """The store after half of the writers were killed.

    `answered` events were acknowledged. `stored` may be more: a writer may be killed after its batch was stored.
    """

    writers: int
    killed: int
    answered: int
    stored: int
    last_seq: int
    broken: int
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether the chain is correct, has no gap, and contains all acknowledged events."""
        return self.broken == 0 and self.stored == self.last_seq and self.answered <= self.stored


def event(number: int) -> dict[str, Any]:
    """An event of the usual size."""
    service = f"cds-{number % 9}"
    return {
        "event_id": str(uuid4()),
        "event_type": "revision.applied",
        "occurred_at": "2026-01-02T03:04:05.123456Z",
        "source": f"{service}/journal",
        "request_id": f"release-{number // 50}",
        "service": service,
        "database": service.replace("-", "_"),
        "actor": "somebody",
        "from_revision": "one_0001",
        "to_revision": "one_0002",
        "outcome": "applied",
        "duration_ms": 12,
        "detail": {
            **{"operation_id": f"release-{number // 50}.{service}", "attempt": 1, "revision": "one_0002"},
            **{"sha256": "ab" * 32, "way_in": "endpoint", "tables": ["public.one"], "actor_basis": "claimed"},
        },
    }


def speed(url: str, batch: int, writers: int, seconds: float) -> Speed:
    """Measures a closed loop: each writer sends its next batch after the answer to the last one."""
    begin = PROCESSES.Barrier(writers)
    running = list(_running(url, batch, writers, begin=begin, seconds=seconds))
    took = [each for _, receiver in running for each in receiver.recv()]
    for process, _ in running:
        process.join()
    return Speed(batch, writers, len(took) * batch / seconds, percentile(took, 50) * 1000, percentile(took, 95) * 1000)


def kill_half_way(url: str, writers: int, each: int, batch: int = 10) -> Killed:
    """Kills every second writer when half of all events are stored."""
    begun = time.monotonic()
    running = list(_running(url, batch, writers, begin=PROCESSES.Barrier(writers), batches=each // batch))
    with psycopg.connect(url, autocommit=True) as connection:
        while _one(connection, "SELECT seq FROM audit.chain_head")[0] < writers * each // 2:
            time.sleep(0.01)
        for process, _ in running[::2]:
            process.kill()
        answered = sum(len(_all_of(receiver)) for _, receiver in running) * batch
        for process, _ in running:
            process.join()
        seconds = time.monotonic() - begun
        _wait_for_disconnects(connection)
        stored, last, broken = _one(connection, CHAIN)
    killed = sum(process.exitcode != 0 for process, _ in running)
    return Killed(writers, killed, answered, stored, last, broken, seconds)


def _running(url: str, batch: int, writers: int, **how: Any) -> Iterator[tuple[Any, Connection]]:
    for number in range(writers):
        receiver, sender = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=_write, args=(url, number, batch, sender), kwargs=how, daemon=True)
        process.start()
        sender.close()
        yield process, receiver


def _write(
    url: str,
    number: int,
    batch: int,
    results: Connection,
    *,
    begin: Barrier,
    seconds: float = float("inf"),
    batches: float = float("inf"),
) -> None:
    """With `seconds`, sends the time of each batch at the end; otherwise sends 1 after each acknowledged batch."""
    took: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET ROLE cas_ingest")
        begin.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(took) < batches:
            events = json.dumps([event(number + each) for each in range(batch)])
            begun = time.monotonic()
            connection.execute(APPEND, [events]).fetchall()
            took.append(time.monotonic() - begun)
            if seconds == float("inf"):
                results.send(1)
    if seconds < float("inf"):
        results.send(took)


def _all_of(receiver: Connection) -> list[int]:
    answers: list[int] = []
    with suppress(EOFError):
        while True:
            answers.append(receiver.recv())
    return answers


def _wait_for_disconnects(connection: psycopg.Connection[Any]) -> None:
    """The last batch of a killed writer may still be running."""
    end = time.monotonic() + DISCONNECT_SECONDS
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while _one(connection, others)[0] and time.monotonic() < end:
        time.sleep(0.05)


def _one(connection: psycopg.Connection[Any], question: str) -> tuple[Any, ...]:
    row = connection.execute(question).fetchone()
    assert row is not None
    return tuple(row)
