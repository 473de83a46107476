"""From a journal to the audit while every process on the way is killed at random: nothing lost, doubled, reordered."""

from __future__ import annotations

import json
import random
import time
from typing import Any
from uuid import uuid4

import pytest

from migration_sidecar.engine.journal_events import audit_event
from migration_sidecar.protocol.journal_schema import create_sql, journal_tables
from scripts.infrastructure import ports
from tests.integration.databases import Database
from tests.integration.services.relay_stage import stage

KILLS = 50
RELAYED_SECONDS = 120
KINDS = ("attempt", "started", "applied", "failed", "stamped", "resolved")
JOURNAL = "SELECT seq, event_id, operation_id, attempt, revision, kind, at, detail FROM migration_sidecar.journal"
STORED = "SELECT event_id, event_type, occurred_at, actor, outcome, detail FROM audit_events"


@pytest.fixture
def journal(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(create_sql(journal_tables()))
    return database


@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_arrives_once_and_in_order_whoever_is_killed_whenever(
    seed: int, journal: Database, audit: Database
) -> None:
    chance = random.Random(seed)
    with stage(journal.url, audit.url, *ports.choose(2)) as processes:
        while processes.kills < KILLS:
            append(journal, chance, chance.randint(1, 60))
            time.sleep(chance.uniform(0.02, 0.25))
            processes.kill_one(chance)
        wait_until_relayed(journal)
    rows = [row for row in told(journal, f"{JOURNAL} ORDER BY seq") if row["kind"] != "started"]
    stored = told(audit, f"{STORED} ORDER BY seq")
    assert len(rows) > 500
    assert [row["event_id"] for row in stored] == [row["event_id"] for row in rows]
    for row, event in zip(rows, stored, strict=True):
        expected = audit_event({**row, "detail": json.dumps(row["detail"])}, "cds-task", journal.name)
        assert event == {name: getattr(expected, name) for name in event}


def append(journal: Database, chance: random.Random, number: int) -> None:
    insert = """INSERT INTO migration_sidecar.journal (event_id, operation_id, attempt, revision, kind, detail)
                VALUES (%s, %s, 1, %s, %s, %s)"""
    with journal.connect() as connection, connection.transaction():
        for _ in range(number):
            detail = json.dumps({"actor": "ada", "way_in": "by hand", "tables": [f"public.t_{chance.random()}"]})
            connection.execute(insert, (uuid4(), f"op-{number}", "a1", chance.choice(KINDS), detail))


def wait_until_relayed(journal: Database) -> None:
    give_up = time.monotonic() + RELAYED_SECONDS
    while time.monotonic() < give_up:
        if told(journal, "SELECT count(*) FROM migration_sidecar.journal WHERE relayed_at IS NULL")[0]["count"] == 0:
            return
        time.sleep(0.05)
    pytest.fail("rows still wait although nobody is killed any more")


def told(database: Database, query: str) -> list[dict[str, Any]]:
    with database.connect() as connection:
        found = connection.execute(query)
        names = [column.name for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
