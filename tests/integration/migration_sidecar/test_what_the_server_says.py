"""Whatever the server answers to our own statements is told as a problem; and no database is too old for our text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database, fresh_database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, applied, carry_out, ended, request, rows

FORBIDS = """
CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'schemas are made by the DBA team, not by ''Meyer''' USING ERRCODE = '{sqlstate}', DETAIL = 'Meyer';
END $$;
CREATE EVENT TRIGGER forbid ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION public.forbid();
"""


def forbid(database: Database, tag: str, sqlstate: str) -> None:
    with database.connect() as connection:
        connection.execute(FORBIDS.format(tag=tag, sqlstate=sqlstate))  # type: ignore[arg-type]


def has_journal(database: Database) -> bool:
    return bool(rows(database, "SELECT FROM pg_namespace WHERE nspname = 'migration_sidecar'"))


@pytest.mark.parametrize("tag", ["CREATE SCHEMA", "CREATE TABLE", "CREATE INDEX"])
@pytest.mark.parametrize("sqlstate", ["P0001", "42501", "55000", "22023", "0A000", "XX001"])
async def test_a_rule_of_the_database_that_forbids_the_journal_is_told_in_its_own_words(
    tag: str, sqlstate: str, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    forbid(database, tag, sqlstate)
    with pytest.raises(ProblemError) as refused:
        await engine.operations.accept(request())
    problem = refused.value.problem
    assert (problem.code, problem.sqlstate, refused.value.status) == ("CM-505", sqlstate, 503)
    assert problem.server_message == "schemas are made by the DBA team, not by …"
    assert "--journal-table" in problem.next_step
    assert not has_journal(database)


async def test_a_journal_that_may_be_made_elsewhere_is_the_way_out(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    forbid(database, "CREATE SCHEMA", "P0001")
    engine = start_engine(environment, MIGRATION_JOURNAL_TABLE="public.migrations")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


STATES = ["22012", "22P02", "22P05", "23505", "23514", "25P02", "2BP01", "3F000", "40001", "40P01", "42601", "42703"]
STATES += ["42804", "42883", "42P01", "42P07", "54001", "55006", "55P03", "57014", "58030", "F0000", "P0001", "XX002"]
THEIR_OWN = {"42501": "CM-504", "53100": "CM-532", "53200": "CM-532", "53300": "CM-531", "57P01": "CM-513"}
THEIR_OWN |= {"25006": "CM-521", "08006": "CM-513", "28000": "CM-502", "3D000": "CM-511"}


@pytest.mark.parametrize("sqlstate", [*STATES, *THEIR_OWN])
async def test_every_error_of_the_server_becomes_a_problem(
    sqlstate: str, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    pool: DatabasePool = engine.database
    with pytest.raises(ProblemError) as told:
        async with pool.connection() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE 'as the server says' USING ERRCODE = '{sqlstate}'; END $$")
    problem = told.value.problem
    assert (problem.code, problem.sqlstate) == (THEIR_OWN.get(sqlstate, "CM-505"), sqlstate)
    assert told.value.status == 503
    if problem.code == "CM-505":
        assert problem.server_message == "as the server says"
        assert problem.retryable is (sqlstate in ("40001", "40P01", "55P03", "57014"))


async def test_a_journal_that_was_dropped_meanwhile_is_told_and_made_again(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    with database.connect() as connection:
        connection.execute("DROP TABLE migration_sidecar.journal")
    status = await engine.reader.status()
    assert status.error is None or status.error.code == "CM-505"
    environment.revision("a2")
    with database.connect() as connection:
        connection.execute("DROP SCHEMA migration_sidecar CASCADE")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


TITLE = "注文 → Größe 🎉 \\u0041"
PLAIN = "locale_provider libc locale 'C'"
ENCODINGS = ["SQL_ASCII", "LATIN1", "EUC_JP", "WIN1251"]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_text_that_the_database_cannot_hold_is_kept_and_read_back(
    encoding: str, postgres: PostgresServer, make_environment: MakeEnvironment, start_engine: StartEngine
) -> None:
    with fresh_database(postgres, f"ENCODING '{encoding}' {PLAIN}") as database:
        environment = make_environment(url=f"{database.url}?client_encoding=utf8")
        file = environment.revision("a1")
        file.write_text(file.read_text().replace("Make a1", TITLE.replace("\\", "\\\\")))
        environment.revision("a2", "raise ValueError('注文')")
        engine = start_engine(environment)
        operation = await carry_out(engine, requested_by="Zoë")
        assert (operation.state, operation.current_revisions) == (OperationState.FAILED, ["a1"])
        assert operation.error is not None
        assert operation.error.server_message == "注文"
        assert await ended(engine, operation.operation_id) == operation
        assert await titles(engine, operation.operation_id) == [f"{TITLE}."]


async def titles(engine: Engine, operation_id: str) -> list[Any]:
    records = await engine.target_database.records()
    async with engine.database.connection() as connection:
        found = await records.journal.read(connection, operation_id)
    assert json.dumps([row.detail for row in found])
    return [row.detail["message"] for row in found if row.kind == "applied"]


async def test_an_operation_whose_own_table_was_dropped_ends_and_says_so(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1", 'op.execute("DROP TABLE migration_" + "sidecar.operations")')
    operation = await carry_out(engine)
    assert operation.state is OperationState.NEEDS_ATTENTION
    assert operation.error is not None
    assert (operation.error.code, operation.error.sqlstate) == ("CM-505", "42P01")
    assert operation.error.server_message == 'relation "migration_sidecar.operations" does not exist'


async def test_a_revision_that_drops_the_journal_in_words_that_no_file_shows_is_undone(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    environment.revision("a2", 'op.execute("DROP SCHEMA migration_" + "sidecar CASCADE")')
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-415", "a2")
    assert applied(database) == ["a1"]


async def test_a_journal_that_autogenerate_would_drop_is_made_only_where_somebody_chose_its_place(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    file = environment.folder / "alembic" / "env.py"
    metadata = "import sqlalchemy; target_metadata = sqlalchemy.MetaData()"
    text = file.read_text().replace("target_metadata = None", metadata)
    file.write_text(text.replace("connection=connection,", "connection=connection, include_schemas=True,"))
    engine = start_engine(environment)
    with pytest.raises(ProblemError) as refused:
        await engine.operations.accept(request())
    assert (refused.value.problem.code, refused.value.status) == ("CM-415", 409)
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert [each.code for each in plan.obstacles] == ["CM-415"]
    assert not has_journal(database)
    chosen = start_engine(environment, MIGRATION_JOURNAL_TABLE="migration_sidecar.journal")
    assert (await carry_out(chosen)).state is OperationState.SUCCEEDED
    plan = await engine.reader.plan(Action.UPGRADE, "head")  # the journal is there now
    assert (plan.obstacles, [each.code for each in plan.warnings]) == ([], ["CM-415"])
