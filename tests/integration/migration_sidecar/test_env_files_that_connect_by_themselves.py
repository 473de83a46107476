"""However an env.py opens its connection, we read and make nothing in another database than the one it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, tables, version
from tests.integration.migration_sidecar.test_places import OpenEngine, open_engine, written
from tests.integration.migration_sidecar.troubled_servers import copy_of, database_of, running, server_in

__all__ = ["open_engine"]

BEGINNING = "import psycopg\nfrom sqlalchemy.engine import make_url\nthere = make_url(os.environ['THERE'])\n"
OPEN = (
    "psycopg.connect(user=there.username, password=there.password, host=there.host, port=there.port,"
    " dbname=there.database)"
)
WAYS = {
    "a creator": f"engine = create_engine('postgresql+psycopg://', creator=lambda: {OPEN})",
    "a listener that changes the parameters": """
engine = create_engine(there.set(database=os.environ['PGDATABASE']))
@event.listens_for(engine, 'do_connect')
def turn(dialect, record, arguments, parameters):
    parameters['dbname'] = there.database
""",
    "a listener that connects": f"""
engine = create_engine(there.set(database=os.environ['PGDATABASE']))
@event.listens_for(engine, 'do_connect')
def connect(dialect, record, arguments, parameters):
    return {OPEN}
""",
}
# As a driver that we do not know, and as one whose socket is an end of a tunnel.
HIDDEN = f"""
class Info:
    def __init__(self, info):
        self.info = info
    def __getattr__(self, name):
        if name == 'dbname':
            raise AttributeError(name)
        return getattr(self.info, name)

class Hidden(psycopg.Connection):
    info = property(lambda self: Info(super().info))

engine = create_engine('postgresql+psycopg://', creator=lambda: {OPEN.replace("psycopg.connect", "Hidden.connect")})
"""


@pytest.fixture
def other(create_database: CreateDatabase) -> Database:
    """The database that PGHOST, PGPORT and PGDATABASE name; it has the revision that env.py's has not."""
    other = create_database()
    with other.connect() as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('one')")
    return other


def named(other: Database) -> dict[str, str]:
    url = make_url(other.url)
    return {"PGHOST": url.host or "", "PGPORT": str(url.port), "PGUSER": "postgres", "PGDATABASE": other.name}


def untouched(*databases: Database) -> bool:
    ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'migration_sidecar'"
    return all(rows(each, ours) == [(0,)] for each in databases)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_our_own_sessions_follow_the_connection_and_not_the_url_of_its_engine(
    way: str, environment: Environment, database: Database, other: Database, open_engine: OpenEngine
) -> None:
    environment = written(environment, f"from sqlalchemy import event\n{BEGINNING}{way}")
    engine = open_engine(environment, {**named(other), "THERE": database.url})
    status = await engine.reader.status()
    assert (status.state, status.database, status.error) == (DatabaseState.EMPTY, database.name, None)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    assert version(database) == ["one"]
    assert untouched(other)


async def test_a_connection_without_an_address_is_refused_and_defaults_are_not_tried(
    environment: Environment, database: Database, other: Database, open_engine: OpenEngine
) -> None:
    environment = written(environment, BEGINNING + HIDDEN)
    engine = open_engine(environment, {**named(other), "THERE": database.url})
    status = await engine.reader.status()
    assert status.error is not None
    assert (status.state, status.error.code) == (DatabaseState.UNREACHABLE, "CM-703")
    for question in (engine.reader.plan(Action.UPGRADE, "head"), carry_out(engine)):
        with pytest.raises(ProblemError, match="CM-703"):
            await question
    assert untouched(database, other)
    assert tables(database) == set()


async def test_the_same_database_named_by_option_lets_our_own_sessions_in(
    environment: Environment, database: Database, other: Database, open_engine: OpenEngine
) -> None:
    environment = written(environment, BEGINNING + HIDDEN)
    engine = open_engine(environment, {**named(other), "THERE": database.url}, database_url=database.url)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    assert untouched(other)


async def test_another_database_named_by_option_is_refused(
    environment: Environment, database: Database, other: Database, open_engine: OpenEngine
) -> None:
    environment = written(environment, BEGINNING + WAYS["a creator"])
    engine = open_engine(environment, {"THERE": database.url}, database_url=other.url)
    status = await engine.reader.status()
    assert status.error is not None
    assert status.error.code == "CM-702"
    with pytest.raises(ProblemError, match="CM-702"):
        await carry_out(engine)
    assert untouched(database, other)


async def test_a_server_that_was_restarted_is_the_same_one(
    environment: Environment, postgres: object, tmp_path: Path, open_engine: OpenEngine
) -> None:
    environment = written(environment, BEGINNING + WAYS["a creator"])
    server = server_in(tmp_path / "server")
    with running(server):
        engine = open_engine(environment, {"THERE": database_of(server).url})
        assert (await engine.reader.status()).state is DatabaseState.EMPTY
    with running(server):
        await engine.reader.status()  # the first one finds the session that the restart ended
        assert (await engine.reader.status()).state is DatabaseState.EMPTY
        assert (await carry_out(engine)).state is OperationState.SUCCEEDED


async def test_a_copy_of_the_server_at_the_same_address_is_recognised(
    environment: Environment, postgres: object, tmp_path: Path, open_engine: OpenEngine
) -> None:
    """System identifier and oids of a copied data directory are equal, so they prove nothing."""
    server = server_in(tmp_path / "server")
    with running(server):
        pass
    copy = copy_of(server, tmp_path / "copy")
    environment = written(environment, BEGINNING + WAYS["a creator"])
    with running(server), running(copy):
        there, elsewhere = database_of(server), database_of(copy)
        engine = open_engine(environment, {"THERE": there.url}, database_url=elsewhere.url)
        with pytest.raises(ProblemError, match="CM-702"):
            await carry_out(engine)
        assert untouched(there, elsewhere)
