"""Revisions that can be loaded only after their env.py ran, because it adds a folder to sys.path."""

from __future__ import annotations

import pytest

from migration_sidecar.cli.target_argument import full_target
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, version


@pytest.fixture
def needy(environment: Environment) -> Environment:
    application = environment.folder / "application"
    application.mkdir()
    (application / "table_names.py").write_text("ORDERS = 't_orders'\n")
    env = environment.folder / "alembic" / "env.py"
    env.write_text(f"import sys\nsys.path.insert(0, {str(application)!r})\n{env.read_text()}")
    for revision in ("a1", "a2"):
        create = f'op.execute(f"CREATE TABLE {{ORDERS}}_{revision} (id int)")'
        file = environment.revision(revision, create, f'op.execute(f"DROP TABLE {{ORDERS}}_{revision}")')
        file.write_text(f"from table_names import ORDERS\n{file.read_text()}")
    return environment


async def test_they_are_told_planned_found_rendered_and_run(
    needy: Environment, engine: Engine, database: Database
) -> None:
    status = await engine.reader.status()
    assert (status.state, status.pending, status.error) == (DatabaseState.EMPTY, ["a1", "a2"], None)
    plan = await engine.revision_files.with_sql(await engine.reader.plan(Action.UPGRADE, "head"))
    assert [step.sql for step in plan.revisions] == [f"CREATE TABLE t_orders_{name} (id int);" for name in ("a1", "a2")]
    assert await full_target(engine, Action.UPGRADE, "+1") == "a1"
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await carry_out(engine, action="downgrade", target="a1")).state is OperationState.SUCCEEDED
    assert version(database) == ["a1"]


async def test_what_env_py_does_not_add_either_is_named(needy: Environment, engine: Engine) -> None:
    (needy.folder / "application" / "table_names.py").unlink()
    status = await engine.reader.status()
    assert status.error is not None
    assert status.error.code == "CM-304"
    assert "imports table_names, which is not installed here" in status.error.detail


async def test_rendering_them_keeps_nothing_of_what_env_py_writes(
    needy: Environment, engine: Engine, database: Database
) -> None:
    env = needy.folder / "alembic" / "env.py"
    wish = f"from sqlalchemy import create_engine, text\nwith create_engine({needy.url!r}).begin() as connection:\n"
    env.write_text(f"{wish}    connection.execute(text('CREATE TABLE settings (id int)'))\n{env.read_text()}")
    plan = await engine.revision_files.with_sql(await engine.reader.plan(Action.UPGRADE, "head"))
    assert plan.revisions[0].sql
    assert rows(database, "SELECT to_regclass('settings')::text") == [(None,)]
