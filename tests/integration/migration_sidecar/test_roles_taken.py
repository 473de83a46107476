"""An env.py that logs in as one role and migrates as another, so that a group owns what it makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from migration_sidecar.contract.messages import DatabaseState, OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, version

LISTENER = """
from sqlalchemy import Engine, event

@event.listens_for(Engine, "connect")
def take_the_role(session, _):
    session.execute("SET ROLE {role}")
    session.commit()

"""
OWNERS = """
SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'migration_sidecar')
"""


@pytest.fixture
def group(environment: Environment, database: Database) -> Iterator[str]:
    """The role of env.py; the one that logs in may do nothing before it has taken that."""
    group, login = f"group_of_{database.name}", f"login_of_{database.name}"
    names = {"group": sql.Identifier(group), "login": sql.Identifier(login), "name": sql.Identifier(database.name)}
    with database.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {group}").format(**names))
        connection.execute(sql.SQL("CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'x'").format(**names))
        connection.execute(sql.SQL("GRANT {group} TO {login}").format(**names))
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {name} TO {group}").format(**names))
        connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {group}").format(**names))
        url = make_url(environment.url).set(username=login, password="x")
        environment.set_url(url.render_as_string(hide_password=False))
        yield group
        connection.execute(sql.SQL("DROP OWNED BY {group}").format(**names))
        connection.execute(sql.SQL("DROP ROLE {group}, {login}").format(**names))


async def test_what_env_py_makes_and_what_we_make_belong_to_the_role_that_it_takes(
    group: str, environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    env = environment.folder / "alembic" / "env.py"
    env.write_text(LISTENER.format(role=group) + env.read_text())
    environment.revision("a1")
    engine = start_engine(environment)
    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert (version(database), rows(database, OWNERS)) == (["a1"], [(group,)])
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
