"""Two histories in one database never meet: each has its own lock, its own records and its own operations."""

from __future__ import annotations

import subprocess
import sys

import pytest

from migration_sidecar.contract.errors import IdempotencyConflict
from migration_sidecar.contract.messages import DatabaseState, OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows, tables

CONFIGURE = "context.configure(\n            "


def configures(environment: Environment, option: str) -> None:
    env = environment.folder / "alembic" / "env.py"
    assert CONFIGURE in env.read_text()
    env.write_text(env.read_text().replace(CONFIGURE, f"{CONFIGURE}{option}, "))


@pytest.fixture
def ours(make_environment: MakeEnvironment) -> Environment:
    environment = make_environment(name="ours")
    environment.revision("shared_id", 'op.execute("CREATE TABLE t_ours (id int)")')
    environment.revision("only_ours")
    return environment


@pytest.fixture
def theirs(make_environment: MakeEnvironment) -> Environment:
    environment = make_environment(name="theirs")
    configures(environment, "version_table='their_version'")
    environment.revision("shared_id", 'op.execute("CREATE TABLE t_theirs (id int)")')
    environment.revision("only_theirs")
    return environment


async def test_each_history_sees_only_its_own_operations_and_rows(
    ours: Environment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    first, second = start_engine(ours), start_engine(theirs)
    one = await carry_out(first)
    assert (await second.reader.status()).last_outcome is None
    other = await carry_out(second)
    assert [one.state, other.state] == [OperationState.SUCCEEDED] * 2, (one.error, other.error)
    assert [(await engine.reader.status()).last_outcome for engine in (first, second)] == [one, other]
    journal = "SELECT DISTINCT version_table, operation_id FROM migration_sidecar.journal ORDER BY 1"
    assert rows(database, journal) == [("alembic_version", one.operation_id), ("their_version", other.operation_id)]


async def test_the_same_revision_id_in_two_histories_is_two_events(
    ours: Environment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    for environment in (ours, theirs):
        await carry_out(start_engine(environment))
    events = """SELECT count(DISTINCT event_id), count(DISTINCT version_table) FROM migration_sidecar.journal
                WHERE revision = 'shared_id' AND kind = 'applied'"""
    assert rows(database, events) == [(2, 2)]


async def test_an_operation_id_of_one_history_is_refused_to_the_other(
    ours: Environment, theirs: Environment, start_engine: StartEngine
) -> None:
    """Or the answer to the second would be the outcome of the first."""
    wanted = request()
    await carry_out(start_engine(ours), wanted)
    with pytest.raises(IdempotencyConflict):
        await start_engine(theirs).operations.accept(wanted)


async def test_one_history_is_not_held_up_by_the_lock_of_the_other(
    ours: Environment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    held = "SELECT objid FROM pg_locks WHERE classid = 19785"
    ours.revision("asks", f'op.execute("CREATE TABLE t_locks AS {held}")')
    theirs.revision("asks", f'op.execute("INSERT INTO t_locks {held}")')
    for environment in (ours, theirs):
        operation = await carry_out(start_engine(environment))
        assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT count(DISTINCT objid) FROM t_locks") == [(2,)]


async def test_a_neighbour_with_the_same_ids_is_known_by_its_files(
    make_environment: MakeEnvironment, database: Database, start_engine: StartEngine
) -> None:
    """Extensions of one application often number their revisions alike, from 0001 on."""
    for name in ("forum", "reports"):
        environment = make_environment(name=name)
        configures(environment, f"version_table='{name}_version'")
        for revision in ("0001", "0002"):
            environment.revision(revision, f'op.execute("CREATE TABLE {name}_{revision} (id int)")')
        engine = start_engine(environment)
        assert (await engine.reader.status()).state is DatabaseState.EMPTY
        operation = await carry_out(engine)
        assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE '%000_'") == [
        (4,)
    ]


async def test_a_history_under_a_new_name_is_not_taken_for_a_neighbour(
    ours: Environment, make_environment: MakeEnvironment, start_engine: StartEngine
) -> None:
    """All its revisions would run a second time on the tables they made."""
    await carry_out(start_engine(ours))
    configures(ours, "version_table='another_name'")
    renamed = start_engine(ours)
    assert (await renamed.reader.status()).state is DatabaseState.UNMANAGED
    operation = await carry_out(renamed)
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-552")


async def test_a_table_of_this_history_is_not_explained_by_another_history(
    ours: Environment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    await carry_out(start_engine(ours))
    with database.connect() as connection:
        connection.execute("CREATE TABLE t_theirs (id int)")
    operation = await carry_out(start_engine(theirs))
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-552")


async def test_an_option_of_an_earlier_configure_holds_for_the_next_as_in_alembic(
    theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    env = theirs.folder / "alembic" / "env.py"
    once = "context.configure(connection=connection, version_table='their_version')"
    text = env.read_text().replace("version_table='their_version', ", "")
    env.write_text(text.replace(CONFIGURE, f"{once}\n        {CONFIGURE}"))
    engine = start_engine(theirs)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    journal = "SELECT DISTINCT version_table FROM migration_sidecar.journal"
    assert rows(database, journal) == [("their_version",)]


def migrates_bare(environment: Environment, target: str = "head") -> None:
    """Their own way, without a word to us."""
    words = [sys.executable, "-m", "alembic", "-c", str(environment.ini), "upgrade", target]
    subprocess.run(words, cwd=environment.folder, check=True, capture_output=True, timeout=60)


async def test_a_history_that_bare_alembic_migrates_accounts_for_its_tables(
    make_environment: MakeEnvironment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    bare = make_environment(name="bare")
    bare.revision("of_bare", 'op.execute("CREATE TABLE t_bare (id int)")')
    migrates_bare(bare)
    operation = await carry_out(start_engine(theirs))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert tables(database) == {"t_bare", "t_theirs", "t_only_theirs"}


async def test_one_that_holds_an_id_of_ours_may_be_ours_under_another_name(
    ours: Environment, theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    """Ids such as 0001 are in every other history: nobody but a person knows, so the person is told."""
    theirs.revision("hidden", "getattr(op, 'execute')(open('schema.sql').read())")
    migrates_bare(ours, "shared_id")
    operation = await carry_out(start_engine(theirs))
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-552")
    assert "public.alembic_version holds shared_id" in operation.error.detail
    assert "version_table" in operation.error.next_step
    assert tables(database) == {"t_ours"}


async def test_an_empty_version_table_accounts_for_nothing(
    theirs: Environment, database: Database, start_engine: StartEngine
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        engine = start_engine(theirs)
        assert (await engine.reader.status()).state is DatabaseState.EMPTY
        connection.execute("CREATE TABLE t_theirs (id int)")
        assert (await engine.reader.status()).state is DatabaseState.UNMANAGED


@pytest.mark.parametrize(("made", "code"), [("somebodys", 0), ("t_theirs", 255)])
def test_by_hand_the_same_is_asked(made: str, code: int, theirs: Environment, database: Database) -> None:
    (theirs.folder / "alembic" / "env.py").write_text(
        "from migration_sidecar.environment import run\n\nrun(None, version_table='their_version')\n"
    )
    with database.connect() as connection:
        connection.execute(f"CREATE TABLE {made} (id int); CREATE TABLE alembic_version (version_num text)")
        connection.execute("INSERT INTO alembic_version VALUES ('shared_id')")
    words = [sys.executable, "-m", "alembic", "-c", str(theirs.ini), "upgrade", "head"]
    ended = subprocess.run(words, cwd=theirs.folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code, ended.stderr
    assert ("CM-552" in ended.stdout + ended.stderr) == bool(code)


async def test_a_tenants_schema_is_empty_beside_the_schemas_of_other_tenants(
    make_environment: MakeEnvironment, database: Database, start_engine: StartEngine
) -> None:
    for tenant in ("north", "south"):
        with database.connect() as connection:
            connection.execute(f"CREATE SCHEMA {tenant}")  # type: ignore[arg-type]
        environment = make_environment(name=tenant)
        configures(environment, f"version_table_schema={tenant!r}")
        environment.revision("a", f'op.execute("CREATE TABLE {tenant}.t_a (id int)")')
        operation = await carry_out(start_engine(environment))
        assert operation.state is OperationState.SUCCEEDED, operation.error
