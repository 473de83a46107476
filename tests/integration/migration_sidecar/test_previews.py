"""A preview of env.py keeps nothing and waits for nobody. What only it meets is a warning, and the upgrade goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import carry_out, ended, request, rows, version

BEGIN = """
import sys
import time
from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine({url!r}, poolclass=pool.NullPool)
"""
RUN = """
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
WRITES = "with engine.begin() as first:\n    first.execute(text('CREATE TABLE IF NOT EXISTS settings (id int)'))\n"
LOCKS = "guard = engine.connect()\nguard.execute(text({lock!r}))\n"
ASKS = "while not guard.execute(text('SELECT pg_try_advisory_lock(4711)')).scalar():\n    time.sleep(0.1)\n"
MADE = "SELECT to_regclass('settings')::text"


@pytest.fixture
def start_with(make_environment: MakeEnvironment, start_engine: StartEngine, database: Database) -> Any:
    def start(before: str = "", after: str = "", **settings: Any) -> Engine:
        environment = make_environment()
        environment.revision("a1")
        text = BEGIN.format(url=environment.url) + before + RUN + after
        (environment.folder / "alembic" / "env.py").write_text(text)
        return start_engine(environment, **settings)

    return start


async def warned(engine: Engine) -> list[str]:
    """The codes of a plan's warnings, which has no obstacle; its status tells the same first."""
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert plan.obstacles == []
    status = await engine.reader.status()
    assert status.state in (DatabaseState.EMPTY, DatabaseState.BEHIND), status
    codes = [warning.code for warning in plan.warnings]
    assert [status.error.code] == codes if status.error is not None else "CM-413" not in codes
    return codes


async def obstacles(engine: Engine) -> list[str]:
    return [problem.code for problem in (await engine.reader.plan(Action.UPGRADE, "head")).obstacles]


@pytest.mark.parametrize(
    ("before", "hold", "codes"),
    [
        (LOCKS.format(lock="SELECT pg_advisory_lock(4711)"), "SELECT pg_advisory_lock(4711)", []),
        (LOCKS.format(lock="LOCK TABLE turns IN EXCLUSIVE MODE"), "BEGIN; LOCK TABLE turns IN EXCLUSIVE MODE", []),
        (LOCKS.format(lock="SELECT * FROM turns FOR UPDATE"), "BEGIN; SELECT * FROM turns FOR UPDATE", []),
        ("guard = engine.connect()\n" + ASKS, "SELECT pg_advisory_lock(4711)", ["CM-413"]),
    ],
    ids=["an advisory lock", "a table", "a row", "a lock that it asks for again and again"],
)
async def test_a_lock_of_env_py_s_own_is_waited_for_by_the_upgrade_and_not_by_a_preview(
    before: str, hold: str, codes: list[str], start_with: Any, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE turns (id int)")
        connection.execute("INSERT INTO turns VALUES (1)")
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('a0')")
    engine = start_with(before)
    environment_of(engine).revision("a1", below="a0")
    environment_of(engine).revision("a0", below=None)
    with database.connect() as holder:
        holder.execute(hold)
        assert await warned(engine) == codes
        accepted = await engine.operations.accept(request())
        await asyncio.sleep(1)
        assert not (await engine.operations.find(accepted.operation_id)).state.ended
    assert (await ended(engine, accepted.operation_id)).state is OperationState.SUCCEEDED
    assert version(database) == ["a1"]


def environment_of(engine: Engine) -> Any:
    from tests.integration.migration_sidecar.environments import Environment

    folder = engine.settings.config_file.parent
    found = Environment.__new__(Environment)
    found.folder, found.last = folder, None
    return found


@pytest.mark.parametrize(
    "before",
    [
        "context_of = lambda: context.get_revision_argument()\nassert context_of() == 'a1'\n",
        "given = context.config.cmd_opts\nassert (given.cmd[0].__name__, given.revision) == ('upgrade', 'head')\n",
        "if sys.argv[-2:] != ['upgrade', 'head']:\n    sys.exit('only to upgrade')\n",
        "assert context.get_tag_argument() is None\n",
    ],
    ids=["get_revision_argument", "cmd_opts", "sys.argv", "get_tag_argument"],
)
async def test_env_py_gets_the_arguments_of_an_upgrade(before: str, start_with: Any, database: Database) -> None:
    engine = start_with(before)
    assert await warned(engine) == []
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


async def test_env_py_that_refuses_other_arguments_than_the_right_ones_is_no_obstacle_at_the_endpoint(
    start_with: Any, database: Database
) -> None:
    engine = start_with("if context.get_revision_argument() == 'a1' and 'a1' not in sys.argv:\n    sys.exit(1)\n")
    status = await engine.reader.status()
    assert (status.state, status.error and status.error.code) == (DatabaseState.UNKNOWN, "CM-703")
    assert await obstacles(engine) == ["CM-407"]
    assert (await carry_out(engine, target="a1")).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WRITES + "engine.connect().execute(text('SELECT * FROM settings'))\n", ""),
        (
            WRITES
            + "made = engine.connect().execute(text(\"SELECT to_regclass('settings')\")).scalar()\nmade.lower()\n",
            "",
        ),
        ("", "engine.connect().execute(text('SELECT * FROM t_a1'))\n"),
        ("engine.connect().execution_options(isolation_level='AUTOCOMMIT').execute(text('VACUUM pg_language'))\n", ""),
    ],
    ids=["reads it", "misses it", "uses what a revision makes", "outside a transaction"],
)
async def test_what_only_a_preview_meets_is_a_warning(
    before: str, after: str, start_with: Any, database: Database
) -> None:
    engine = start_with(before, after)
    assert await warned(engine) == ["CM-413"]
    assert rows(database, MADE) == [(None,)]
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


SPACE = "SPACE = 'ops'\nengine.connect().execute(text('SELECT * FROM settings'))\n"


async def test_the_version_table_is_read_in_the_text_where_a_preview_does_not_get_there(
    make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment()
    environment.revision("a1")
    run = RUN.replace("connection=connection", "connection=connection, version_table='v', version_table_schema=SPACE")
    writes = WRITES + "    first.execute(text('CREATE SCHEMA IF NOT EXISTS ops'))\n"
    text = BEGIN.format(url=environment.url) + writes + SPACE + run
    (environment.folder / "alembic" / "env.py").write_text(text)
    engine = start_engine(environment)
    assert await warned(engine) == ["CM-413"]
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT version_num FROM ops.v") == [("a1",)]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


@pytest.mark.parametrize(
    "before",
    [
        WRITES,
        WRITES.replace("engine.begin()", "engine.connect().execution_options(isolation_level='AUTOCOMMIT')"),
        WRITES.replace("engine.begin()", "engine.connect()") + "    first.execute(text('COMMIT'))\n",
        "engine = create_engine(engine.url, isolation_level='AUTOCOMMIT')\n" + WRITES,
        "raw = engine.raw_connection()\nraw.cursor().execute('CREATE TABLE settings (id int)')\nraw.commit()\n",
    ],
    ids=["committed", "in AUTOCOMMIT", "committed by a statement", "in an engine's AUTOCOMMIT", "by the driver"],
)
async def test_nothing_that_env_py_writes_in_a_preview_is_kept(
    before: str, start_with: Any, database: Database
) -> None:
    engine = start_with(before)
    assert await warned(engine) == []
    assert rows(database, MADE) == [(None,)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1 / 0\n", ""),
        ("sys.exit(1)\n", ""),
        ("import no_such_module\n", ""),
        (WRITES + "no_such_name\n", ""),
        ("", "no_such_name\n"),
        (WRITES + "RUN = '''\n", "'''\n"),
    ],
    ids=["raises", "exits", "lacks a module", "a wrong name", "a wrong name at its end", "never configures"],
)
async def test_what_the_upgrade_meets_too_is_an_obstacle(
    before: str, after: str, start_with: Any, database: Database
) -> None:
    engine = start_with(before, after)
    assert await obstacles(engine) in (["CM-407"], ["CM-701"])
    if engine.target_database.is_assumed:  # there is no database in which an operation could be kept
        with pytest.raises(ProblemError, match=r"CM-407|CM-701"):
            await carry_out(engine)
    else:
        assert (await carry_out(engine)).state is OperationState.FAILED
    assert rows(database, MADE) == [(None,)]
