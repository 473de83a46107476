"""A fleet that version 0.1 migrated goes on: its operations had no column for what was agreed when they came."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState, Operation, OperationState
from migration_sidecar.protocol.journal_schema import create_sql, journal_tables
from scripts.infrastructure import ports
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows, until
from tests.integration.migration_sidecar.test_relay import WAITING, Audit, relaying, served

VERSION_0_1 = """
CREATE SCHEMA migration_sidecar;
CREATE TABLE migration_sidecar.journal (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid PRIMARY KEY,
    operation_id text NOT NULL,
    version_table text NOT NULL DEFAULT 'alembic_version',
    attempt integer NOT NULL,
    revision text,
    kind text NOT NULL CHECK (kind IN ('attempt', 'started', 'nontx_started', 'applied', 'reverted', 'stamped',
                                       'failed', 'refused', 'cancelled', 'resolved')),
    xid text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail jsonb NOT NULL DEFAULT '{}',
    relayed_at timestamptz
);
CREATE INDEX journal_to_relay ON migration_sidecar.journal (seq) WHERE relayed_at IS NULL;
CREATE INDEX journal_by_operation ON migration_sidecar.journal (operation_id, seq);
CREATE TABLE migration_sidecar.operations (
    operation_id text PRIMARY KEY,
    version_table text NOT NULL DEFAULT 'alembic_version',
    body_digest text NOT NULL,
    request jsonb NOT NULL,
    state text NOT NULL,
    record jsonb NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX operations_by_age ON migration_sidecar.operations (accepted_at);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('a');
CREATE TABLE t_a (id int);
"""
KEPT = """
INSERT INTO migration_sidecar.journal (event_id, operation_id, attempt, revision, kind, detail)
VALUES (gen_random_uuid(), %s, 1, NULL, 'attempt', '{"actor": "ada", "way_in": "endpoint"}'),
       (gen_random_uuid(), %s, 1, 'a', 'applied', '{"actor": "ada", "way_in": "endpoint"}')
"""
STORED = """
INSERT INTO migration_sidecar.operations (operation_id, body_digest, request, state, record)
VALUES (%s, %s, %s, %s, %s)
"""
OLD_WRITE = """
INSERT INTO migration_sidecar.journal (event_id, operation_id, attempt, revision, kind)
VALUES (gen_random_uuid(), 'of-an-old-replica', 1, NULL, 'attempt') RETURNING version_table
"""
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'migration_sidecar' ORDER BY 1, 2
"""
IS_OLD = [(0,)]
AGREED_COLUMNS = """
SELECT count(*) FROM information_schema.columns
WHERE table_schema = 'migration_sidecar' AND column_name = 'agreed'
"""


def stored(database: Database, state: OperationState) -> Operation:
    """As version 0.1 kept it: an operation that took the database to `a`."""
    wanted, now = request("a"), datetime.now(UTC)
    record = Operation(
        operation_id=wanted.operation_id,
        service="orders",
        database=database.name,
        action=Action.UPGRADE,
        target="a",
        state=state,
        current_revisions=["a"],
        accepted_at=now,
        attempts=1,
    )
    facts = (wanted.digest, wanted.model_dump_json(), state, record.model_dump_json())
    with database.connect() as connection:
        connection.execute(VERSION_0_1)
        connection.execute(KEPT, (wanted.operation_id, wanted.operation_id))
        connection.execute(STORED, (wanted.operation_id, *facts))
    return record


@pytest.fixture(autouse=True)
def history(environment: Environment) -> Environment:
    environment.revision("a")
    environment.revision("b")
    return environment


async def test_reading_understands_the_old_records_and_leaves_them_and_the_servers_log_as_they_are(
    environment: Environment, database: Database, start_engine: StartEngine, postgres: PostgresServer
) -> None:
    record = stored(database, OperationState.SUCCEEDED)
    engine = start_engine(environment)
    status = await engine.reader.status()
    assert (status.state, status.error, status.last_outcome) == (DatabaseState.BEHIND, None, record)
    assert await engine.operations.find(record.operation_id) == record
    assert await engine.operations.cancel(record.operation_id) == record
    assert (await engine.reader.plan(Action.UPGRADE, "head")).obstacles == []
    assert rows(database, AGREED_COLUMNS) == IS_OLD
    written = postgres.program.log.read_text().splitlines()
    assert [line for line in written if f"@{database.name} ERROR" in line] == []


async def test_a_database_ahead_is_still_known_as_ours(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    stored(database, OperationState.SUCCEEDED)
    with database.connect() as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    assert (await start_engine(environment).reader.status()).state is DatabaseState.AHEAD


async def test_the_first_operation_brings_them_up_to_date(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    record = stored(database, OperationState.SUCCEEDED)
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert await engine.operations.find(record.operation_id) == record
    histories = "SELECT DISTINCT version_table FROM migration_sidecar.journal"
    assert rows(database, histories) == [("alembic_version",)]


async def test_an_operation_that_was_under_way_is_taken_up(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    record = stored(database, OperationState.RUNNING)
    engine = start_engine(environment)
    await engine.operations.resume("heads")
    found = await engine.operations.find(record.operation_id, wait_seconds=30)
    assert found.state is OperationState.SUCCEEDED, found.error


def test_native_alembic_migrates_and_leaves_them_as_they_are(environment: Environment, database: Database) -> None:
    stored(database, OperationState.SUCCEEDED)
    (environment.folder / "alembic" / "env.py").write_text(
        "from migration_sidecar.environment import run\n\nrun(None)\n"
    )
    words = [sys.executable, "-m", "alembic", "-c", str(environment.ini), "upgrade", "head"]
    ended = subprocess.run(words, capture_output=True, text=True, env=os.environ, cwd=environment.folder, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert rows(database, "SELECT version_num FROM alembic_version") == [("b",)]
    assert rows(database, AGREED_COLUMNS) == IS_OLD


async def test_what_version_0_1_left_to_relay_is_relayed(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    stored(database, OperationState.SUCCEEDED)
    audit, (port,) = Audit(), ports.choose(1)
    with served(audit, port):
        async with relaying(start_engine(environment, DAPR_HTTP_PORT=str(port))):
            await until(lambda: rows(database, WAITING) == [(0,)])
    assert audit.event_types == ["attempt.started", "revision.applied"]


def test_brought_up_to_date_they_are_as_if_made_today(database: Database, create_database: CreateDatabase) -> None:
    fresh = create_database()
    with database.connect() as connection:
        connection.execute(VERSION_0_1)
        for _ in range(2):
            connection.execute(create_sql(journal_tables()))
    with fresh.connect() as connection:
        connection.execute(create_sql(journal_tables()))
    assert rows(database, COLUMNS) == rows(fresh, COLUMNS)


def test_a_replica_of_version_0_1_can_still_write(database: Database) -> None:
    """While the new one is rolled out, both migrate."""
    with database.connect() as connection:
        connection.execute(VERSION_0_1)
        connection.execute(create_sql(journal_tables()))
    assert rows(database, OLD_WRITE) == [("alembic_version",)]
