"""What was accepted in one database is never carried out in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, version


@pytest.mark.parametrize("used_before", [True, False], ids=["with a journal", "without one"])
async def test_an_env_py_that_turns_to_another_database_between_look_and_migration_is_refused(
    make_environment: MakeEnvironment,
    create_database: CreateDatabase,
    database: Database,
    start_engine: StartEngine,
    used_before: bool,
) -> None:
    """A secret that was rotated, a host name that moved: only the operation's own row proves that it is the place."""
    environment = make_environment()
    environment.revision("a")
    other = create_database()
    if used_before:
        neighbour = make_environment(url=other.url, name="neighbour")
        neighbour.revision("another_history")
        await carry_out(start_engine(neighbour))
    before = rows(other, "SELECT relname FROM pg_class ORDER BY 1")
    env, moved = environment.folder / "alembic" / "env.py", environment.folder / "moved.txt"
    turning = f"""
from pathlib import Path
if Path({str(moved)!r}).exists():
    config.set_main_option("sqlalchemy.url", {other.url!r})
"""
    env.write_text(env.read_text().replace("target_metadata = None\n", f"target_metadata = None\n{turning}"))
    assert "moved.txt" in env.read_text()
    engine = start_engine(environment)
    await engine.reader.status()
    moved.touch()
    operation = await carry_out(engine)
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-702")
    assert rows(other, "SELECT relname FROM pg_class ORDER BY 1") == before


BEGIN = """
import sys
from alembic import context
from sqlalchemy import create_engine, text
"""
RUN = """
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
EXITS = "if not context.get_x_argument():\n    sys.exit('give -x tenant=')\n"
NO_TUNNEL = "def opened():\n    raise RuntimeError('no tunnel')\nengine = create_engine(engine.url, creator=opened)\n"
RAISES = "raise RuntimeError('no tenant')\n"
READS_FIRST = "with engine.connect() as first:\n    first.execute(text('SELECT 1'))\n"
ASKS = "if context.get_revision_argument() and 'a1' not in sys.argv:\n    sys.exit(1)\n"
RELATIONS = "SELECT relnamespace::regnamespace::text, relname FROM pg_class ORDER BY 1, 2"


@pytest.fixture
def other(create_database: CreateDatabase, make_environment: MakeEnvironment) -> Database:
    """A database that env.py does not use, at the head of the same history."""
    elsewhere = create_database()
    neighbour = make_environment(url=elsewhere.url, name="neighbour")
    neighbour.revision("a1")
    command.upgrade(Config(str(neighbour.ini)), "head")
    return elsewhere


@pytest.fixture
def engine_for(
    make_environment: MakeEnvironment, start_engine: StartEngine, database: Database, other: Database
) -> Callable[[str], tuple[Environment, Engine]]:
    """`text` stands in an env.py that migrates `database`, while DATABASE_URL names `other`."""

    def start(text: str) -> tuple[Environment, Engine]:
        environment = make_environment()
        environment.revision("a1")
        engine_line = f"engine = create_engine({database.url!r})\n"
        (environment.folder / "alembic" / "env.py").write_text(BEGIN + engine_line + text + RUN)
        return environment, start_engine(environment, DATABASE_URL=other.url)

    return start


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (EXITS, "DATABASE_URL names it"),
        (NO_TUNNEL, "DATABASE_URL names it"),
        (RAISES, "DATABASE_URL names it"),
        (READS_FIRST + RAISES, "it connected there"),
    ],
    ids=["an -x is missing", "its connector raises", "it raises", "it raises when it has read a database"],
)
async def test_where_env_py_named_no_database_no_state_is_told_and_nothing_is_made(
    text: str, named: str, engine_for: Any, database: Database, other: Database
) -> None:
    _, engine = engine_for(text)
    before = [rows(each, RELATIONS) for each in (database, other)]
    status = await engine.reader.status()
    assert status.error is not None
    assert (status.state, status.pending, status.error.code) == (DatabaseState.UNKNOWN, [], "CM-407")
    assert named in status.error.detail
    ready, _ = await engine.startup.readiness()
    assert not ready
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert [obstacle.code for obstacle in plan.obstacles] == ["CM-407"]
    for refused in (engine.operations.resume("heads"), carry_out(engine), engine.relay._unrelayed()):
        with pytest.raises(ProblemError, match="CM-407"):
            await refused
    assert [rows(each, RELATIONS) for each in (database, other)] == before


async def test_env_py_is_asked_with_the_arguments_of_the_operation_where_it_named_no_database_for_others(
    engine_for: Any, database: Database, other: Database
) -> None:
    _, engine = engine_for(ASKS)
    before = rows(other, RELATIONS)
    status = await engine.reader.status()
    assert (status.state, status.error and status.error.code) == (DatabaseState.UNKNOWN, "CM-703")
    with pytest.raises(ProblemError, match="CM-407"):
        await carry_out(engine, target="head")
    assert (await carry_out(engine, target="a1")).state is OperationState.SUCCEEDED
    assert version(database) == ["a1"]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    assert rows(other, RELATIONS) == before


async def test_an_env_py_that_breaks_later_leaves_the_database_that_it_named(
    engine_for: Any, database: Database, other: Database
) -> None:
    environment, engine = engine_for("")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    file = environment.folder / "alembic" / "env.py"
    file.write_text(file.read_text().replace(BEGIN, BEGIN + RAISES))
    status = await engine.reader.status()
    assert (status.database, status.state) == (database.name, DatabaseState.AT_HEAD)
    assert status.error is not None
    assert status.error.code == "CM-407"
    assert rows(other, RELATIONS.replace("pg_class", "pg_class WHERE relname = 'journal'")) == []


async def test_a_refusal_that_env_py_catches_is_told_all_the_same(
    engine_for: Any, database: Database, other: Database
) -> None:
    """It comes when env.py calls run_migrations, and an env.py that goes on after it ends well."""
    environment, engine = engine_for("")
    file, moved = environment.folder / "alembic" / "env.py", environment.folder / "moved.txt"
    turning = f"import os\nif os.path.exists({str(moved)!r}):\n    engine = create_engine({other.url!r})\n"
    caught = "try:\n            context.run_migrations()\n        except Exception:\n            pass\n"
    text = file.read_text().replace("context.run_migrations()\n", caught)
    file.write_text(text.replace("with engine.connect()", f"{turning}with engine.connect()"))
    assert (await engine.reader.plan(Action.UPGRADE, "head")).obstacles == []
    moved.touch()
    operation = await carry_out(engine)
    assert (operation.state, operation.error and operation.error.code) == (OperationState.FAILED, "CM-702")
    assert rows(database, "SELECT to_regclass('t_a1')::text") == [(None,)]
