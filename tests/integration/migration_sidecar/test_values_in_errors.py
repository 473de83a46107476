"""A value that PostgreSQL repeats in its error shows nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from migration_sidecar.contract.errors import DatabaseRefused
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.database.connection_errors import unreachable
from migration_sidecar.engine.journal_events import EVENT_TYPES, audit_event
from migration_sidecar.protocol.url import make_url
from migration_sidecar.worker.failure_report import describe_failure
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows

FIRST, LAST = "Kanarie1", "Kanarie2"
characters = st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0x2FFF)
values = st.builds(lambda middle: f"{FIRST}{middle}{LAST}", st.text(characters))
AS_OTHER_TYPE = ["integer", "uuid", "date", "jsonb", "inet", "boolean", "int[]", "numeric", "interval", "point", "mood"]
STATEMENTS = {
    **{kind: f"SELECT CAST({{}} AS {kind})" for kind in AS_OTHER_TYPE},
    "too long": "INSERT INTO t (short) VALUES ({})",
    "not unique": "INSERT INTO t (name) VALUES ({0}), ({0})",
    "against a check": "INSERT INTO t (name, checked) VALUES ('x', {})",
    "of nobody": "INSERT INTO t (name, other) VALUES ('x', {})",
    "a setting": "SELECT set_config('client_min_messages', {}, false)",
    "a query": "SELECT to_tsquery({} || ' x')",
    "a path": "SELECT CAST('$.a ' || {} AS jsonpath)",
    "a format": "SELECT format('%' || {})",
    "raised": "DO $do$ BEGIN RAISE 'no customer \"%\"', {}; END $do$",
    "raised as another": "DO $do$ BEGIN RAISE 'no \"%\"', {} USING ERRCODE = '42P01'; END $do$",
    "dynamic": "DO $do$ BEGIN EXECUTE 'SELECT 1 ' || quote_literal({}) || ' x y'; END $do$",
    "half a literal": "SELECT 1 '{}",
}
TABLE = """
CREATE TYPE mood AS ENUM ('happy');
CREATE TABLE t (name text UNIQUE, short varchar(3), checked text CONSTRAINT plain CHECK (checked = ''), other text
    CONSTRAINT known REFERENCES t (name));
"""


def statement(kind: str, value: str) -> str:
    if kind == "half a literal":
        return STATEMENTS[kind].format(value.replace("'", ""))
    return STATEMENTS[kind].format(sql.Literal(value).as_string())


def assert_hidden(text: str) -> None:
    assert FIRST not in text, text
    assert LAST not in text, text
    assert FIRST.lower() not in text, text


@pytest.fixture
def connection(database: Database) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(database.url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        connection.exec_driver_sql(TABLE)
        connection.commit()
        yield connection
    engine.dispose()


@pytest.mark.parametrize("kind", STATEMENTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_no_statement_of_a_revision_makes_its_value_show(
    kind: str, connection: sqlalchemy.Connection, value: str
) -> None:
    with pytest.raises(sqlalchemy.exc.DBAPIError) as failed:
        connection.exec_driver_sql(statement(kind, value).replace("%", "%%"))
    connection.rollback()
    told = describe_failure(failed.value, "a2")
    assert told["sqlstate"]
    assert_hidden(json.dumps(told, ensure_ascii=False))


@pytest.mark.parametrize("kind", STATEMENTS)
async def test_no_statement_of_our_own_makes_a_value_show(kind: str, database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    try:
        await connection.execute(TABLE)
        with pytest.raises(asyncpg.PostgresError) as failed:
            await connection.execute(statement(kind, f'{FIRST} "x" {LAST}'))
    finally:
        await connection.close()
    told = unreachable(make_url(database.url), failed.value)
    assert isinstance(told, DatabaseRefused)
    assert_hidden(told.problem.model_dump_json())


NAMES = {
    'op.execute("SELECT * FROM nowhere")': 'relation "nowhere" does not exist',
    'op.execute("SELECT nothing FROM t")': 'column "nothing" does not exist',
    "op.execute(\"INSERT INTO t (name, checked) VALUES ('x', 'y')\")": 'violates check constraint "plain"',
    'op.execute("SELEKT 1")': 'syntax error at or near "SELEKT"',
}


@pytest.mark.parametrize("body", NAMES)
async def test_the_names_that_a_person_needs_are_shown(
    body: str, environment: Environment, start_engine: StartEngine
) -> None:
    environment.revision("a1", f"op.execute({TABLE!r})")
    environment.revision("a2", body)
    operation = await carry_out(start_engine(environment))
    assert operation.error is not None
    assert NAMES[body] in (operation.error.server_message or "")


BODIES = {
    "a value": "op.execute(\"SELECT CAST('{}' AS integer)\")",
    "a token": "raise RuntimeError('log in with api_token={}')",
    "an address": "raise RuntimeError('cannot reach https://ada:{}@example.org')",
    "quotes": "raise SystemExit('no customer \"{}\"')",
    "Alembic's own error": "from alembic.util import CommandError; raise CommandError('password: {}')",
}


@pytest.mark.parametrize("body", BODIES)
async def test_neither_record_nor_journal_nor_event_nor_log_has_it(
    body: str,
    environment: Environment,
    start_engine: StartEngine,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "migration_sidecar")
    environment.revision("a1")
    environment.revision("a2", BODIES[body].format(f"{FIRST}x{LAST}"))
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    stored = rows(database, "SELECT journal::text FROM migration_sidecar.journal")
    stored += rows(database, "SELECT operations::text FROM migration_sidecar.operations")
    query = (
        "SELECT event_id::text, kind, at, operation_id, attempt, revision, detail::text FROM migration_sidecar.journal"
    )
    columns: list[Any] = ["event_id", "kind", "at", "operation_id", "attempt", "revision", "detail"]
    journal = [dict(zip(columns, row, strict=True)) for row in rows(database, query)]
    events = [audit_event(row, "orders", "orders").model_dump_json() for row in journal if row["kind"] in EVENT_TYPES]
    assert events
    told = [operation.model_dump_json(), str(stored), *events, caplog.text, *capfd.readouterr()]
    assert_hidden("\n".join(told))
