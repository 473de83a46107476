"""An env.py that names other folders than the ini, keeps a version table per tenant, or goes to another server."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from migration_sidecar.cli.target_argument import full_target
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, tables, version
from tests.integration.migration_sidecar.test_places import FROM_ENVIRONMENT, OpenEngine, open_engine, written

__all__ = ["open_engine"]

TENANTS = """
    for tenant in ("acme", "globex"):
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {tenant}"))
            connection.execute(text(f"SET search_path TO {tenant}"))
            connection.commit()
            context.configure(connection=connection, version_table_schema=tenant)
            with context.begin_transaction():
                context.run_migrations()
"""


@pytest.fixture
def elsewhere(environment: Environment) -> Environment:
    """The ini's folder holds a revision of nobody; env.py names the right one."""
    environment.revision("decoy")
    folder = environment.folder / "alembic" / "postgresql"
    folder.mkdir()
    for number, below in ((1, None), (2, "a1")):
        environment.revision(f"a{number}", below=below).rename(folder / f"a{number}.py")
    env = environment.folder / "alembic" / "env.py"
    env.write_text(
        f"from alembic import context\ncontext.script.version_locations = [{str(folder)!r}]\n{env.read_text()}"
    )
    return environment


async def test_folders_that_env_py_names_hold_for_everything(
    elsewhere: Environment, engine: Engine, database: Database
) -> None:
    assert (await engine.reader.status()).pending == ["a1", "a2"]
    plan = await engine.revision_files.with_sql(await engine.reader.plan(Action.UPGRADE, "head"))
    assert [step.sql for step in plan.revisions] == ["CREATE TABLE t_a1 (id int);", "CREATE TABLE t_a2 (id int);"]
    assert await full_target(engine, Action.UPGRADE, "+1") == "a1"
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (version(database), tables(database)) == (["a2"], {"t_a1", "t_a2"})

    elsewhere.revision("a3", below="a2").rename(elsewhere.folder / "alembic" / "postgresql" / "a3.py")
    status = await engine.reader.status()
    assert (status.state, status.pending) == (DatabaseState.BEHIND, ["a3"])


async def test_of_several_version_tables_the_one_with_most_to_do_is_told(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    written(environment, FROM_ENVIRONMENT, run=TENANTS)
    engine = open_engine(environment, {"ORDERS_DSN": database.url})
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    status = await engine.reader.status()
    assert (status.state, status.error) == (DatabaseState.AT_HEAD, None)

    with database.connect() as connection:  # the tenant that comes second was put back
        connection.execute("DELETE FROM globex.alembic_version; DROP TABLE globex.t_one")
    status = await engine.reader.status()
    assert (status.current_revisions, status.pending) == ([], ["one"])
    assert status.error is not None
    assert status.error.code == "CM-412"
    assert "2 version tables" in status.error.detail
    assert "globex" in status.error.detail
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert [step.id for step in plan.revisions] == ["one"]
    assert "CM-412" in [warning.code for warning in plan.warnings]

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT version_num FROM globex.alembic_version") == [("one",)]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


async def test_one_database_may_be_named_in_two_ways(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    named = make_url(database.url).set(host="localhost").render_as_string(hide_password=False)
    engine = open_engine(written(environment, FROM_ENVIRONMENT), {"ORDERS_DSN": database.url, "DATABASE_URL": named})
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
