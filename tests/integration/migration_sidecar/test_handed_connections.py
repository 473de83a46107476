"""Programs that call Alembic with a connection or an engine of their own, in a folder with our env.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from migration_sidecar import environment as face
from migration_sidecar.protocol.lock_key import lock_key
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment
from tests.integration.migration_sidecar.environments import Environment, lock_is_free, rows, tables, version
from tests.integration.migration_sidecar.test_native_alembic import OURS

KEY = tuple(lock_key("alembic_version", "").values())
KINDS = "SELECT kind, revision FROM migration_sidecar.journal ORDER BY seq"
JOURNAL_THERE = "SELECT to_regclass('migration_sidecar.journal') IS NOT NULL"
FAILING = 'op.execute("CREATE TABLE t_a2 (id int)"); op.execute("SELECT 1/0")'
SETTINGS = """
SELECT current_setting('application_name'), current_setting('lock_timeout'), current_setting('idle_session_timeout'),
       current_setting('idle_in_transaction_session_timeout')
"""
Migrate = Callable[..., None]


@pytest.fixture
def ours(make_environment: MakeEnvironment) -> Environment:
    environment = make_environment(url="postgresql://nobody@nowhere.invalid/nothing")
    (environment.folder / "alembic" / "env.py").write_text(OURS)
    environment.revision("a1")
    environment.revision("a2")
    return environment


@pytest.fixture
def migrate(ours: Environment) -> Migrate:
    """`alembic upgrade head`, called with this connection."""

    def migrate(handed: Any, action: str = "upgrade", target: str = "head") -> None:
        config = Config(str(ours.ini))
        config.attributes["connection"] = handed
        getattr(command, action)(config, target)

    return migrate


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    engine = create_engine(database.url)  # with a pool, as a program has it
    yield engine
    engine.dispose()


def test_the_handed_connection_is_migrated_whatever_database_url_names(
    migrate: Migrate,
    engine: Engine,
    database: Database,
    create_database: CreateDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = create_database()
    monkeypatch.setenv("DATABASE_URL", other.url)
    with engine.begin() as connection:
        migrate(connection)
    assert tables(database) == {"t_a1", "t_a2"}
    assert rows(other, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]
    assert rows(other, JOURNAL_THERE) == [(False,)]


def test_whoever_began_the_transaction_commits_it(migrate: Migrate, engine: Engine, database: Database) -> None:
    with engine.connect() as connection:
        with connection.begin():
            migrate(connection)
            assert rows(database, JOURNAL_THERE) == [(False,)]
            assert not lock_is_free(database)  # till the transaction ends: others would see a history that is to move
        assert lock_is_free(database)
        assert connection.execute(text(SETTINGS)).one() == ("", "0", "0", "0")
    assert (version(database), tables(database)) == (["a2"], {"t_a1", "t_a2"})
    assert rows(database, KINDS)[-1] == ("applied", "a2")


def test_whoever_began_the_transaction_takes_it_back(migrate: Migrate, engine: Engine, database: Database) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))  # begins a transaction, as SQLAlchemy does
        migrate(connection)
        connection.rollback()
        assert lock_is_free(database)
        assert connection.execute(text(SETTINGS)).one() == ("", "0", "0", "0")
    assert rows(database, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]
    assert rows(database, JOURNAL_THERE) == [(False,)]


def test_a_connection_without_a_transaction_is_given_back_without_one(
    migrate: Migrate, engine: Engine, database: Database
) -> None:
    with engine.connect() as connection:
        for _ in range(2):  # the second finds nothing to do
            migrate(connection)
            assert not connection.in_transaction()
            assert lock_is_free(database)
        assert connection.execute(text(SETTINGS)).one() == ("", "0", "0", "0")
    assert tables(database) == {"t_a1", "t_a2"}


def test_a_program_that_set_its_session_finds_it_so(migrate: Migrate, engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('application_name', 'shop', false)"))
        connection.execute(text("SELECT set_config('lock_timeout', '7s', false)"))
        connection.commit()
        migrate(connection)
        assert connection.execute(text(SETTINGS)).one()[:2] == ("shop", "7s")


@pytest.mark.parametrize("action", ["upgrade", "stamp"])
def test_each_run_in_one_process_is_an_attempt_of_its_own(
    action: str, migrate: Migrate, engine: Engine, database: Database
) -> None:
    migrate(engine, action, "a1")
    migrate(engine, action, "a2")
    assert rows(database, "SELECT count(DISTINCT operation_id) FROM migration_sidecar.journal") == [(2,)]
    assert lock_is_free(database)


def test_an_asynchronous_engine_can_be_handed_over(migrate: Migrate, database: Database) -> None:
    migrate(create_async_engine(database.async_url))
    assert (version(database), lock_is_free(database)) == (["a2"], True)


@pytest.mark.parametrize("whole", [True, False], ids=["asynchronous", "synchronous"])
async def test_a_connection_out_of_run_sync_can_be_handed_over(
    whole: bool, migrate: Migrate, database: Database
) -> None:
    engine = create_async_engine(database.async_url)

    async def hand_over(connection: AsyncConnection) -> None:
        await connection.run_sync(lambda ours: migrate(connection if whole else ours))

    async with engine.begin() as connection:
        await hand_over(connection)
        await connection.rollback()
    assert rows(database, JOURNAL_THERE) == [(False,)]
    async with engine.begin() as connection:
        await hand_over(connection)
    await engine.dispose()
    assert (version(database), lock_is_free(database)) == (["a2"], True)


def test_a_program_gets_the_error_of_its_driver_and_the_journal_has_it_too(
    ours: Environment, migrate: Migrate, engine: Engine, database: Database
) -> None:
    ours.revision("a2", FAILING, below="a1")
    with engine.connect() as connection:
        with pytest.raises(DataError):
            migrate(connection)
        assert not connection.in_transaction()
        assert connection.execute(text(SETTINGS)).one() == ("", "0", "0", "0")
        assert lock_is_free(database)
    assert version(database) == ["a1"]
    assert rows(database, KINDS)[-1] == ("failed", None)


def test_a_failure_within_the_transaction_of_a_program_leaves_nothing_but_that_transaction(
    ours: Environment, migrate: Migrate, engine: Engine, database: Database
) -> None:
    ours.revision("a2", FAILING, below="a1")
    with engine.connect() as connection, connection.begin() as transaction:
        with pytest.raises(DataError):
            migrate(connection)
        assert transaction.is_active
        transaction.rollback()
        assert lock_is_free(database)
    assert rows(database, JOURNAL_THERE) == [(False,)]


def test_a_program_that_commits_after_a_failure_keeps_the_row_that_tells_it(
    ours: Environment, migrate: Migrate, engine: Engine, database: Database
) -> None:
    ours.revision("a2", 'raise ValueError("not today")', below="a1")
    with engine.begin() as connection, suppress(ValueError):
        migrate(connection)
    assert version(database) == ["a1"]
    assert rows(database, KINDS)[-1] == ("failed", None)


def test_a_rule_of_ours_is_told_as_alembic_tells_its_own(migrate: Migrate, engine: Engine, database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE t_a1 (id int)")
    with engine.connect() as connection:
        with pytest.raises(CommandError, match="CM-552"):
            migrate(connection)
        assert not connection.in_transaction()
        assert lock_is_free(database)


def test_it_waits_for_the_lock_of_others(
    migrate: Migrate, engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face, "LOCK_WAIT_SECONDS", 0.3)
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        with engine.begin() as connection, pytest.raises(CommandError, match="CM-404"):
            migrate(connection)
    assert tables(database) == set()


def test_the_sql_of_a_handed_connection_needs_no_url(
    ours: Environment, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    ours.ini.write_text("\n".join(line for line in ours.ini.read_text().splitlines() if "sqlalchemy.url" not in line))
    config = Config(str(ours.ini))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head", sql=True)
    assert "CREATE TABLE t_a2" in capsys.readouterr().out


def test_a_configuration_without_a_file_is_enough(ours: Environment, engine: Engine, database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(ours.folder / "alembic"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    assert tables(database) == {"t_a1", "t_a2"}


def test_a_connection_that_a_program_broke_is_told_and_frees_the_lock(
    ours: Environment, migrate: Migrate, engine: Engine, database: Database
) -> None:
    ours.revision("a2", 'op.execute("SELECT pg_terminate_backend(pg_backend_pid())")', below="a1")

    with engine.connect() as connection, pytest.raises(OperationalError):
        migrate(connection)
    assert (version(database), lock_is_free(database)) == (["a1"], True)
