"""T9: many writers at once, half of them killed at work, and one chain."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from itertools import count
from multiprocessing.connection import Connection
from typing import Any
from uuid import uuid4

import psycopg

from tests.integration.databases import Database

WRITERS = 64
BATCHES = 20
EVENTS = 5
PROCESSES = multiprocessing.get_context("fork")

CHAIN = """
SELECT count(*), min(seq), max(seq),
       count(*) FILTER (WHERE prev_hash <> predecessor OR hash <> audit.event_hash(event)
                        OR payload_hash <> audit.payload_hash(event)),
       bool_or(seq = (SELECT head.seq FROM audit.chain_head AS head)
               AND hash = (SELECT head.hash FROM audit.chain_head AS head))
FROM (SELECT event, event.*, lag(hash, 1, repeat('0', 64)) OVER (ORDER BY seq) AS predecessor
      FROM public.audit_events AS event) AS link
"""

STORED = """
SELECT split_part(source, '/', 2)::integer, (detail ->> 'number')::integer, count(*) FROM audit_events GROUP BY 1, 2
"""


def batch(writer: int, number: int) -> str:
    """Source and detail tell which batch it is, so that what was answered can be looked for."""
    common = {"event_type": "revision.applied", "occurred_at": "2026-01-02T03:04:05Z", "source": f"writer/{writer}"}
    events = [{**common, "event_id": str(uuid4()), "detail": {"number": number}} for _ in range(EVENTS)]
    return json.dumps(events)


def write(url: str, writer: int, answered: Connection) -> None:
    """Tells after each batch that it was answered; every other one goes on until it is killed, and tells no more."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET ROLE cas_ingest")
        answered.send("ready")
        for number in range(BATCHES) if writer % 2 else count():
            connection.execute("SELECT * FROM audit.append_events(%s::jsonb)", [batch(writer, number)])
            answered.send(number)


def ask(database: Database, question: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(question).fetchall()


def test_t9_writers_killed_at_work_leave_one_chain_and_nothing_half(audit: Database) -> None:
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(WRITERS)]
    writers = [
        PROCESSES.Process(target=write, args=(audit.url, number, sender), daemon=True)
        for number, (_, sender) in enumerate(pipes)
    ]
    for writer, (_, sender) in zip(writers, pipes, strict=True):
        writer.start()
        sender.close()
    for receiver, _ in pipes:
        assert receiver.recv() == "ready"
    while ask(audit, "SELECT seq FROM audit.chain_head")[0][0] < WRITERS * BATCHES * EVENTS // 4:
        time.sleep(0.01)
    for writer in writers[::2]:
        writer.kill()
    answers = [_all_of(receiver) for receiver, _ in pipes]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers[::2]] == [-signal.SIGKILL] * (WRITERS // 2)
    wait_for_sessions_to_end(audit)

    [(events, least, most, broken, head_fits)] = ask(audit, CHAIN)
    assert (least, most, broken, head_fits) == (1, events, 0, True)
    assert answers[1::2] == [list(range(BATCHES))] * (WRITERS // 2)
    found = {(writer, number): stored for writer, number, stored in ask(audit, STORED)}
    assert set(found.values()) == {EVENTS}
    promised = {(writer, number) for writer, numbers in enumerate(answers) for number in numbers}
    assert promised <= found.keys()


def _all_of(receiver: Connection) -> list[int]:
    numbers: list[int] = []
    try:
        while True:
            numbers.append(receiver.recv())
    except EOFError:
        return numbers


def wait_for_sessions_to_end(audit: Database) -> None:
    """A killed client's last batch may still be committed by the server."""
    busy = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{audit.name}' AND pid <> pg_backend_pid()"
    until = time.monotonic() + 10
    while ask(audit, busy) != [(0,)] and time.monotonic() < until:
        time.sleep(0.05)
    assert ask(audit, busy) == [(0,)]
