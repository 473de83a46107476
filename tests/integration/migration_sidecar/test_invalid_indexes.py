"""INVALID indexes: what this history left behind is built again, what somebody else left is named and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from migration_sidecar.contract.messages import Operation, OperationState
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    carry_out,
    ended,
    kinds,
    request,
    rows,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import held_up

TWICE = 'op.execute("CREATE TABLE t_orders AS SELECT 1 AS id FROM generate_series(1, 2)")'
BUILD = """
with op.get_context().autocommit_block():
    op.execute("CREATE UNIQUE INDEX CONCURRENTLY {how}ix_one ON t_orders (id)")
"""
INDEXES = (
    "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE relname = 'ix_one'"
)
DEDUPLICATE = "DELETE FROM t_orders WHERE ctid = (SELECT min(ctid) FROM t_orders)"


def run(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture(params=["", "IF NOT EXISTS "], ids=["plain", "if not exists"])
def environment(request: pytest.FixtureRequest, environment: Environment) -> Environment:
    environment.revision("a", TWICE)
    environment.revision("b", BUILD.format(how=request.param))
    return environment


async def failed_once(engine: Engine, database: Database) -> None:
    operation = await carry_out(engine)
    assert (operation.state, operation.error.code) == (OperationState.NEEDS_ATTENTION, "CM-405")  # type: ignore[union-attr]
    assert rows(database, INDEXES) == [("ix_one", False)]


def refused(operation: Operation) -> str:
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-405")
    return operation.error.detail + operation.error.next_step


async def test_an_index_that_the_revision_left_invalid_is_dropped_and_built_again(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await failed_once(engine, database)
    run(database, DEDUPLICATE)
    again = await carry_out(engine)
    assert again.state is OperationState.SUCCEEDED, again.error
    assert rows(database, INDEXES) == [("ix_one", True)]
    assert kinds(database, again.operation_id) == ["attempt", "resolved", "nontx_started", "applied"]
    named = "SELECT revision, detail->'dropped' FROM migration_sidecar.journal WHERE kind = 'resolved'"
    assert rows(database, named) == [("b", ["public.ix_one"])]


async def test_it_may_fail_and_be_repaired_any_number_of_times(
    engine: Engine, environment: Environment, database: Database
) -> None:
    for _ in range(3):
        await failed_once(engine, database)
    run(database, DEDUPLICATE)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


async def test_an_invalid_index_that_stood_there_before_is_named_and_left_alone(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await carry_out(engine, target="a")
    with pytest.raises(Exception, match="could not create unique index"):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_one ON t_orders (id)")
    said = refused(await carry_out(engine))
    assert "public.ix_one is not valid" in said
    assert "DROP INDEX CONCURRENTLY public.ix_one" in said
    assert rows(database, INDEXES) == [("ix_one", False)]
    assert version(database) == ["a"]


async def test_one_that_stood_there_when_the_revision_first_began_is_not_its_own_either(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """The file named another index then."""
    await carry_out(engine, target="a")
    with pytest.raises(Exception, match="could not create unique index"):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_one ON t_orders (id)")
    final = environment.versions / "b.py"
    text = final.read_text()
    final.write_text(text.replace("ix_one", "ix_two"))
    operation = await carry_out(engine)
    assert operation.state is OperationState.NEEDS_ATTENTION
    final.write_text(text)
    refused(await carry_out(engine))
    assert rows(database, INDEXES) == [("ix_one", False)]


async def test_one_of_an_earlier_begin_that_was_finished_is_not_taken_for_its_own(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """It ended once; what is INVALID under that name since then, somebody else made so."""
    await carry_out(engine, target="a")
    run(database, DEDUPLICATE)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    run(database, "DROP INDEX ix_one")
    run(database, "UPDATE alembic_version SET version_num = 'a'")
    run(database, "INSERT INTO t_orders SELECT * FROM t_orders")
    with pytest.raises(Exception, match="could not create unique index"):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_one ON t_orders (id)")
    refused(await carry_out(engine))
    assert rows(database, INDEXES) == [("ix_one", False)]


async def test_an_invalid_index_that_the_revision_does_not_name_is_no_concern_of_it(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await carry_out(engine, target="a")
    with pytest.raises(Exception, match="could not create unique index"):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_on ON t_orders (id)")
    run(database, DEDUPLICATE)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    left = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert rows(database, left) == [(1,)]


async def test_a_revision_that_swallows_the_failure_of_its_index_did_not_succeed(
    engine: Engine, environment: Environment, database: Database
) -> None:
    swallowing = """
    with op.get_context().autocommit_block():
        try:
            op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_one ON t_orders (id)")
        except Exception:
            pass
    """
    environment.revision("b", swallowing, below="a")
    await failed_once(engine, database)
    assert version(database) == ["a"]


@pytest.fixture
def plain_role(environment: Environment, database: Database, postgres: PostgresServer) -> Iterator[None]:
    """The environment's role may not see what a superuser's session is at."""
    role, name = sql.Identifier("plain_builder"), sql.Identifier(database.name)
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(role))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, role))
        run(database, "GRANT ALL ON SCHEMA public TO plain_builder")
        url = make_url(environment.url).set(username="plain_builder", password="plain")
        environment.set_url(url.render_as_string(hide_password=False))
        yield
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


async def test_one_that_another_role_is_building_meanwhile_is_nobodys_leftover(
    environment: Environment, plain_role: None, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    environment.revision("a", 'op.execute("CREATE TABLE t_orders AS SELECT 1 AS id")', below=None)
    environment.revision("b", f"{BUILD.format(how='')}\n{held_up(tmp_path / 'go')}")
    engine = start_engine(environment)
    await carry_out(engine, target="a")
    run(database, "CREATE TABLE t_other (id int)")
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, INDEXES) == [("ix_one", True)])
    with psycopg.connect(database.url) as holder, ThreadPoolExecutor() as threads:
        holder.execute("INSERT INTO t_other VALUES (1)")
        building = threads.submit(run, database, "CREATE INDEX CONCURRENTLY ix_other ON t_other (id)")
        await until(lambda: rows(database, "SELECT FROM pg_index WHERE NOT indisvalid"))
        (tmp_path / "go").touch()
        operation = await ended(engine, accepted.operation_id)
        assert not building.done()
        holder.rollback()
    assert operation.state is OperationState.SUCCEEDED, operation.error


async def test_one_that_a_neighbours_failed_build_left_meanwhile_is_not_the_revisions(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    environment.revision("a", 'op.execute("CREATE TABLE t_orders AS SELECT 1 AS id")', below=None)
    environment.revision("b", f"{BUILD.format(how='')}\n{held_up(tmp_path / 'go')}")
    engine = start_engine(environment)
    await carry_out(engine, target="a")
    run(database, "CREATE TABLE t_twice AS SELECT 1 AS id FROM generate_series(1, 2)")
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, INDEXES) == [("ix_one", True)])
    with pytest.raises(Exception, match="could not create unique index"):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_twice ON t_twice (id)")
    (tmp_path / "go").touch()
    operation = await ended(engine, accepted.operation_id)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(1,)]


async def test_one_whose_name_postgresql_made_up_is_the_revisions_all_the_same(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """Neither its name nor its table's stands in the file."""
    swallowing = """
    with op.get_context().autocommit_block():
        try:
            op.execute("CREATE UNIQUE INDEX CONCURRENTLY ON {} (id)".format("t_" + "orders"))
        except Exception:
            pass
    """
    environment.revision("b", swallowing, below="a")
    operation = await carry_out(engine)
    assert operation.error is not None
    assert (operation.error.code, version(database)) == ("CM-405", ["a"])
