"""env.py decides where transactions begin and end; what is told about a failure says what was undone with it."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import psycopg
import pytest

from migration_sidecar.contract.messages import Action, Operation, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    lock_is_free,
    request,
    rows,
    tables,
    until,
    version,
)

SPLIT = "transaction_per_migration=True, "
BLOCK = "with context.begin_transaction():\n            context.run_migrations()"
FAILING = 'op.execute("INSERT INTO nowhere VALUES (1)")'


@pytest.fixture
def environment(environment: Environment) -> Environment:
    """Its env.py is as Alembic wrote it: one transaction for all revisions."""
    change(environment, SPLIT, "")
    return environment


def change(environment: Environment, before: str, after: str) -> None:
    env_py = environment.folder / "alembic" / "env.py"
    text = env_py.read_text()
    assert before in text
    env_py.write_text(text.replace(before, after))


async def gave_way(engine: Engine, operation_id: str) -> Operation | None:
    operation = await engine.operations.find(operation_id)
    return operation if operation.attempts > 1 else None


async def test_a_failure_in_the_third_revision_undoes_the_two_before_it(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2")
    environment.revision("a3", FAILING)
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.revision, failed.error.sqlstate) == ("CM-401", "a3", "42P01")
    assert "and with it a1, a2 of the same transaction" in failed.error.detail
    assert failed.applied == []
    assert tables(database) == set()
    assert kinds(database, failed.operation_id) == ["attempt", "failed"]
    assert lock_is_free(database)


async def test_with_the_operators_choice_the_two_before_it_stay_and_the_plan_says_so(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.ini.write_text(environment.ini.read_text() + "transaction_per_revision = true\n")
    environment.revision("a1")
    environment.revision("a2")
    environment.revision("a3", FAILING)
    engine = start_engine(environment)
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    failed = await carry_out(engine)

    assert "CM-414" in [warning.code for warning in plan.warnings]
    assert failed.state is OperationState.FAILED
    assert version(database) == ["a2"]
    assert tables(database) == {"t_a1", "t_a2"}


async def test_with_the_operators_choice_what_env_py_executes_behind_a_revision_in_its_block_is_kept(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    change(environment, BLOCK, f'{BLOCK}\n            connection.exec_driver_sql("INSERT INTO runs VALUES (1)")')
    environment.ini.write_text(environment.ini.read_text() + "transaction_per_revision = true\n")
    environment.revision("a1", 'op.execute("CREATE TABLE runs (id int)")')
    engine = start_engine(environment)
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    states = [(await carry_out(engine)).state for _ in range(2)]

    assert "CM-414" in [warning.code for warning in plan.warnings]
    assert states == [OperationState.SUCCEEDED] * 2
    assert rows(database, "SELECT count(*) FROM runs") == [(2,)]


async def test_a_retry_after_a_lock_timeout_repeats_what_was_undone(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2")
    environment.revision("a3", 'op.execute("ALTER TABLE t_a1 ADD COLUMN note text")')
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("SELECT count(*) FROM t_a1")
        accepted = await engine.operations.accept(request())
        await until(partial(gave_way, engine, accepted.operation_id))
        holder.rollback()
    done = await ended(engine, accepted.operation_id)

    assert done.state is OperationState.SUCCEEDED
    assert done.attempts > 1
    assert applied(database) == ["a1", "a2", "a3"]


async def test_what_a_block_committed_before_a_later_revision_failed_needs_attention(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    environment.revision(
        "a2", 'with op.get_context().autocommit_block():\n    op.execute("CREATE INDEX CONCURRENTLY ix ON t_a1 (id)")'
    )
    environment.revision("a3", FAILING)
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.NEEDS_ATTENTION
    assert failed.error is not None
    assert failed.error.code == "CM-405"
    assert version(database) == ["a1"]
    assert applied(database) == ["a1"]


async def test_an_error_at_commit_is_the_failure_of_its_revisions(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    deferred = "CREATE TABLE t_a1 (id int PRIMARY KEY, up int REFERENCES t_a1 DEFERRABLE INITIALLY DEFERRED)"
    environment.revision("a1", f'op.execute("{deferred}")')
    environment.revision("a2", 'op.execute("INSERT INTO t_a1 VALUES (1, 7)")')
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.revision, failed.error.sqlstate) == ("CM-401", "a2", "23503")
    assert failed.error.detail.startswith("The COMMIT of revision a2 ")
    assert tables(database) == set()


@pytest.mark.parametrize("other", ["pass", "raise SystemExit(0)", "raise RuntimeError('it did not work')"])
async def test_an_error_that_env_py_catches_is_told_as_it_was(
    other: str, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    indented = BLOCK.replace("\n", "\n    ")
    change(environment, BLOCK, f"try:\n            {indented}\n        except Exception:\n            {other}")
    environment.revision("a1", FAILING)
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.revision, failed.error.sqlstate) == ("CM-401", "a1", "42P01")


async def test_a_run_that_nobody_commits_is_no_success(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    change(environment, BLOCK, "context.run_migrations()")
    environment.revision("a1")
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert failed.error.code == "CM-410"
    assert tables(database) == set()


SAVEPOINT = """with context.begin_transaction():
            {begin}
            context.run_migrations()
            {end}"""
BY_SQL = 'connection.exec_driver_sql("{} SAVEPOINT point")'


@pytest.mark.parametrize(
    ("begin", "undo", "keep"),
    [
        ("point = connection.begin_nested()", "point.rollback()", "point.commit()"),
        (BY_SQL.format(""), BY_SQL.format("ROLLBACK TO"), BY_SQL.format("RELEASE")),
    ],
    ids=["SQLAlchemy", "SQL"],
)
async def test_a_run_that_env_py_undoes_by_a_savepoint_is_no_success(
    begin: str, undo: str, keep: str, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    undone = SAVEPOINT.format(begin=begin, end=undo)
    change(environment, BLOCK, undone)
    environment.revision("a1", "op.get_bind().begin_nested().rollback()")
    environment.revision("a2", "op.get_bind().begin_nested().rollback()")
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert failed.error.code == "CM-410"
    assert "before a1, a2" in failed.error.detail
    assert tables(database) == set()

    change(environment, undone, SAVEPOINT.format(begin=begin, end=keep))
    done = await carry_out(start_engine(environment))
    assert done.state is OperationState.SUCCEEDED, done.error
    assert applied(database) == ["a1", "a2"]


async def test_what_env_py_does_after_the_revisions_is_done_at_head_too_and_its_failure_is_no_success(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    change(environment, BLOCK, f'{BLOCK}\n            connection.exec_driver_sql("INSERT INTO runs VALUES (1)")')
    environment.revision("a1", 'op.execute("CREATE TABLE runs (id int)")')
    engine = start_engine(environment)
    states = [(await carry_out(engine)).state for _ in range(2)]
    assert states == [OperationState.SUCCEEDED] * 2
    assert rows(database, "SELECT count(*) FROM runs") == [(2,)]

    with database.connect() as connection:
        connection.execute("DROP TABLE runs")
        connection.commit()
    failed = await carry_out(engine)
    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert failed.error.code == "CM-407"
    assert failed.current_revisions == ["a1"]


async def test_a_lock_that_env_py_gives_away_after_the_revisions_undoes_them(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    change(environment, BLOCK, f'{BLOCK}\n            connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")')
    environment.revision("a1")
    failed = await carry_out(start_engine(environment))

    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert failed.error.code == "CM-406"
    assert tables(database) == set()


TENANTS = """\
for tenant in ("one", "two"):
            context.configure(
                connection=connection, target_metadata=target_metadata, version_table_schema=tenant
            )
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {tenant}")
            connection.exec_driver_sql(f"SET LOCAL search_path TO {tenant}")
            context.run_migrations()
        connection.commit()"""


async def test_two_tenants_in_one_transaction_are_both_called_committed(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    opened = "with connectable.connect() as connection:"
    change(environment, opened, f"{opened}\n        connection.begin()")
    change(environment, BLOCK, TENANTS)
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    done = await carry_out(start_engine(environment))

    assert done.state is OperationState.SUCCEEDED, done.error
    assert applied(database) == ["a1", "a1"]
    at = "SELECT version_num FROM one.alembic_version UNION ALL SELECT version_num FROM two.alembic_version"
    assert rows(database, at) == [("a1",)] * 2
