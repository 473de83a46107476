"""`migration-sidecar adopt`: a database that was made by hand enters its history only with proof."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from typer.testing import CliRunner, Result

import migration_sidecar.adoption.adopt
import migration_sidecar.engine.engine
from migration_sidecar.cli import app
from migration_sidecar.protocol.lock_key import lock_key
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, rows, version
from tests.integration.migration_sidecar.sleepers import held_up

COMMAND = [sys.executable, "-c", "from migration_sidecar.cli import main; main()"]
BY_HAND = """
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE TABLE t_orders (id serial PRIMARY KEY, name varchar(40) NOT NULL, mood mood DEFAULT 'calm');
CREATE INDEX by_name ON t_orders (name);
CREATE VIEW calm_orders AS SELECT id FROM t_orders WHERE mood = 'calm';
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""
REVISION = f"op.execute({BY_HAND!r})"
SCRATCH = "SELECT datname FROM pg_database WHERE datname LIKE 'migration\\_sidecar\\_scratch%'"

Adopt = Callable[..., Result]


@pytest.fixture
def history(environment: Environment) -> Environment:
    environment.revision("a1", REVISION, "pass")
    environment.revision("a2", 'op.execute("ALTER TABLE t_orders ADD note text")', "pass")
    return environment


@pytest.fixture
def adopt(history: Environment, shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> Adopt:
    """Runs the command in this process, on the shared processes."""
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str, revision: str = "a1", code: int = 0) -> Result:
        words = ["adopt", "--revision", revision, "--config", str(history.ini), *arguments]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def by_hand(database: Database) -> Database:
    execute(database, BY_HAND)
    return database


def execute(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute(statement)


def is_untouched(database: Database) -> bool:
    """No version row, and no scratch database left."""
    stamped = rows(database, "SELECT to_regclass('alembic_version')") != [(None,)] and version(database)
    return not stamped and not rows(database, SCRATCH)


@contextmanager
def migration_lock(database: Database) -> Iterator[None]:
    key = lock_key("alembic_version", "")
    with database.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (key["class_id"], key["object_id"]))
        yield


def until(condition: Callable[[], Any], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_what_was_made_by_hand_is_stamped_and_goes_on_from_there(
    adopt: Adopt, history: Environment, by_hand: Database
) -> None:
    execute(by_hand, "INSERT INTO t_orders (name) VALUES ('kept')")
    output = adopt().stdout
    assert "orders: adopted, at a1" in output
    assert "Rows are not compared" in output
    assert version(by_hand) == ["a1"]
    assert rows(by_hand, SCRATCH) == []
    upgraded = CliRunner().invoke(app, ["upgrade", "head", "--config", str(history.ini)])
    assert "orders: succeeded, at a2" in upgraded.stdout
    assert rows(by_hand, "SELECT name, note FROM t_orders") == [("kept", None)]


def test_the_journal_tells_who_adopted_what_on_which_proof(adopt: Adopt, by_hand: Database) -> None:
    proof = json.loads(adopt("--json").stdout)
    journal = rows(by_hand, "SELECT kind, revision, detail FROM migration_sidecar.journal ORDER BY seq")
    assert [(kind, revision) for kind, revision, _ in journal] == [("attempt", None), ("stamped", "a1")]
    for _, _, detail in journal:
        assert detail["adopted"]["catalog_sha256"] == proof["catalog_sha256"]
        assert detail["adopted"]["objects"] == proof["objects"] > 10
        assert "@" in detail["actor"]
    record = rows(by_hand, "SELECT state, record FROM migration_sidecar.operations")
    assert [(state, facts["action"], facts["target"]) for state, facts in record] == [("succeeded", "adopt", "a1")]


DIFFERENCES = {
    "CREATE TABLE extra (id int)": ("table", "public.extra"),
    "ALTER TABLE t_orders ADD extra int": ("column", "public.t_orders.extra"),
    "ALTER TABLE t_orders ALTER name TYPE varchar(41)": ("column", "public.t_orders.name"),
    "ALTER TABLE t_orders ALTER mood DROP DEFAULT": ("column", "public.t_orders.mood"),
    "ALTER TABLE t_orders ADD CHECK (id > 0)": ("constraint", "public.t_orders.t_orders_id_check"),
    "DROP INDEX by_name": ("index", "public.by_name"),
    "DROP VIEW calm_orders": ("view", "public.calm_orders"),
    "ALTER TYPE mood ADD VALUE 'glad'": ("type", "public.mood"),
    "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'": ("function", "public.one()"),
    "CREATE SCHEMA more": ("schema", "more"),
    "CREATE SEQUENCE numbers": ("sequence", "public.numbers"),
    "COMMENT ON TABLE t_orders IS 'x'": ("comment", "table public.t_orders"),
    "ALTER TABLE t_orders ENABLE ROW LEVEL SECURITY": ("table", "public.t_orders"),
    "CREATE EXTENSION vector": ("extension", "vector"),
}


def test_every_difference_is_shown_and_nothing_is_stamped(adopt: Adopt, by_hand: Database) -> None:
    for change in DIFFERENCES:
        execute(by_hand, change)
    found = json.loads(adopt("--json", code=1).stdout)
    assert found["state"] == "different"
    shown = {(each["kind"], each["object"]) for each in found["differences"]}
    assert set(DIFFERENCES.values()) <= shown
    assert is_untouched(by_hand)
    assert rows(by_hand, "SELECT to_regnamespace('migration_sidecar')") == [(None,)]


def test_differences_are_told_side_by_side(adopt: Adopt, by_hand: Database) -> None:
    execute(by_hand, "CREATE TABLE extra (id int PRIMARY KEY); ALTER TABLE t_orders ALTER name TYPE text")
    lines = adopt("--dry-run", code=1).stdout.splitlines()
    assert any(line.startswith("table public.extra: only in the database (with 1 column") for line in lines)
    assert "  database  text not null" in lines
    assert "  revision  character varying(40) not null" in lines


def test_without_a_revision_it_is_told_which_one_it_is(adopt: Adopt, history: Environment, by_hand: Database) -> None:
    words = ["adopt", "--config", str(history.ini)]
    told = CliRunner().invoke(app, words, catch_exceptions=False)
    assert told.exit_code == 2
    assert [line.split("  ")[:2] for line in told.stdout.splitlines()] == [["a1", "the same"], ["a2", "1 difference"]]
    assert "--revision a1" in told.stderr
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [each["differences"] for each in found["matches"]] == [0, 1]
    history.revision("b1", below=None)
    assert "Give --revision" in CliRunner().invoke(app, words).stderr
    assert is_untouched(by_hand)


def test_only_looking_stamps_nothing(adopt: Adopt, by_hand: Database) -> None:
    assert "the same as a1; nothing was stamped" in adopt("--dry-run").stdout
    assert is_untouched(by_hand)


def test_the_order_of_columns_counts_unless_somebody_says_it_does_not(
    adopt: Adopt, history: Environment, database: Database
) -> None:
    execute(database, BY_HAND + "ALTER TABLE t_orders ADD late int")
    history.revision("a3", 'op.execute("ALTER TABLE t_orders DROP mood CASCADE, ADD mood mood, ADD late int")', "pass")
    execute(database, "DROP VIEW calm_orders; ALTER TABLE t_orders ALTER mood DROP DEFAULT, ADD note text")
    found = json.loads(adopt("--json", revision="a3", code=1).stdout)
    assert [each["kind"] for each in found["differences"]] == ["column-order"]
    assert "adopted" in adopt("--ignore", "column-order", revision="a3").stdout


def test_owner_and_grants_count_only_when_asked_for(adopt: Adopt, by_hand: Database) -> None:
    execute(by_hand, "GRANT SELECT ON t_orders TO pg_monitor")
    found = json.loads(adopt("--json", "--include", "owner,grants", code=1).stdout)
    assert [(each["kind"], each["object"]) for each in found["differences"]] == [("grants", "table public.t_orders")]
    assert "adopted" in adopt().stdout


def test_a_database_with_a_revision_is_left_alone(adopt: Adopt, by_hand: Database) -> None:
    adopt()
    assert "unchanged, at a1" in adopt().stdout
    assert "CM-553" in adopt(revision="a2", code=1).stderr
    assert version(by_hand) == ["a1"]


def test_an_empty_version_table_is_no_revision(adopt: Adopt, by_hand: Database) -> None:
    execute(by_hand, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    adopt()
    assert version(by_hand) == ["a1"]


@pytest.mark.parametrize("arguments", [("--ignore", "tables"), ("--include", "rows")])
def test_a_word_that_makes_no_sense_ends_with_2(arguments: tuple[str, ...], adopt: Adopt) -> None:
    adopt(*arguments, code=2)


def test_a_revision_that_nobody_knows_ends_with_2(adopt: Adopt, by_hand: Database) -> None:
    assert "CM-203" in adopt(revision="nowhere", code=2).stderr
    assert is_untouched(by_hand)


def test_a_database_out_of_reach_ends_with_3(adopt: Adopt, history: Environment) -> None:
    history.set_url(make_url(history.url).set(port=9).render_as_string(hide_password=False))
    assert "CM-513" in adopt(code=3).stderr


def test_a_revision_that_cannot_be_built_is_told(adopt: Adopt, history: Environment, by_hand: Database) -> None:
    history.revision("a3", 'op.execute("SELECT 1/0")', "pass")
    told = adopt(revision="a3", code=1).stderr
    assert "CM-555" in told
    assert "division by zero" in told
    assert is_untouched(by_hand)


def test_what_an_administrator_prepared_is_given_to_the_scratch_too(
    adopt: Adopt, history: Environment, database: Database
) -> None:
    execute(
        database, "CREATE SCHEMA stock; CREATE EXTENSION vector SCHEMA stock; CREATE TABLE stock.v (at stock.vector)"
    )
    history.revision("b1", 'op.execute("CREATE TABLE stock.v (at stock.vector)")', "pass", below=None)
    found = json.loads(adopt("--json", revision="b1").stdout)
    assert found["state"] == "adopted"
    assert found["given"] == ["schema stock", "extension vector"]


def test_the_search_path_of_the_database_holds_in_the_scratch_too(
    adopt: Adopt, history: Environment, database: Database
) -> None:
    execute(database, f'ALTER DATABASE "{database.name}" SET search_path = stock, public')
    execute(database, "CREATE SCHEMA stock; CREATE TABLE stock.v (id int)")
    history.revision(
        "b1", 'op.execute("CREATE SCHEMA stock"); op.execute("CREATE TABLE v (id int)")', "pass", below=None
    )
    assert "adopted" in adopt(revision="b1").stdout


def test_what_is_being_migrated_is_not_compared(
    adopt: Adopt, by_hand: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing needs to be built for that, and no difference is told that may be gone in a moment."""
    monkeypatch.setattr(migration_sidecar.adoption.adopt, "LOCK_SECONDS", 0.3)
    execute(by_hand, "DROP INDEX by_name")
    with migration_lock(by_hand):
        told = adopt(code=2).stderr
    assert "CM-404" in told
    assert "Building" not in told
    assert is_untouched(by_hand)


def test_a_migration_under_way_is_waited_for(adopt: Adopt, by_hand: Database) -> None:
    execute(by_hand, "DROP INDEX by_name")
    is_held = threading.Event()

    def migrate() -> None:
        with migration_lock(by_hand):
            is_held.set()
            until(lambda: sessions(by_hand, "datname = current_database() AND application_name LIKE 'migration-%'"))
            time.sleep(0.5)
            execute(by_hand, "CREATE INDEX by_name ON t_orders (name)")

    migrating = threading.Thread(target=migrate)
    migrating.start()
    is_held.wait()
    assert "Waiting for the migration lock" in adopt().stderr
    migrating.join()
    assert version(by_hand) == ["a1"]


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


@pytest.fixture
def slow(history: Environment, go: Path) -> Environment:
    """Building goes on when the file is there, so that something can happen meanwhile."""
    history.revision("a1", f"{REVISION}\n{held_up(go)}", "pass", below=None)
    return history


BUILDING = "query LIKE '%pg_advisory_xact_lock(815)%' AND datname LIKE 'migration\\_sidecar\\_scratch%'"


def begun(environment: Environment) -> subprocess.Popen[str]:
    command = [*COMMAND, "adopt", "--revision", "a1", "--config", str(environment.ini)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sessions(database: Database, query: str) -> list[Any]:
    return rows(database, f"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {query}")


def test_a_database_that_changes_after_it_was_compared_is_not_stamped(
    slow: Environment, by_hand: Database, go: Path
) -> None:
    process = begun(slow)
    until(lambda: sessions(by_hand, BUILDING))
    with migration_lock(by_hand):
        go.touch()
        until(lambda: sessions(by_hand, "application_name LIKE 'migration-sidecar:adopt-%'"))
        execute(by_hand, "ALTER TABLE t_orders ADD meanwhile int")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "CM-554" in told
    assert is_untouched(by_hand)


def test_two_at_once_stamp_once(slow: Environment, by_hand: Database, go: Path) -> None:
    both = [begun(slow), begun(slow)]
    until(lambda: len(sessions(by_hand, BUILDING)) == 2)
    go.touch()
    told = [process.communicate(timeout=120) for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 1]), told
    assert all("adopted" in out or "unchanged" in out or "CM-553" in err for out, err in told), told
    assert version(by_hand) == ["a1"]
    assert rows(by_hand, "SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'stamped'") == [(1,)]
    assert rows(by_hand, SCRATCH) == []


@pytest.mark.parametrize("stage", ["building", "waiting to stamp"])
def test_killed_anywhere_nothing_is_stamped_and_the_next_one_cleans_up(
    stage: str, slow: Environment, by_hand: Database, go: Path
) -> None:
    process = begun(slow)
    until(lambda: sessions(by_hand, BUILDING))
    with migration_lock(by_hand):
        if stage == "waiting to stamp":
            go.touch()
            until(lambda: sessions(by_hand, "application_name LIKE 'migration-sidecar:adopt-%'"))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda: not sessions(by_hand, "application_name LIKE 'migration-sidecar%'"))
        assert bool(rows(by_hand, SCRATCH)) == (stage == "building")
    stamped = rows(by_hand, "SELECT to_regclass('alembic_version')") != [(None,)] and version(by_hand)
    assert not stamped
    go.touch()
    again = begun(slow)
    assert "adopted" in again.communicate(timeout=60)[0]
    assert rows(by_hand, SCRATCH) == []


def test_a_database_of_somebody_else_is_never_taken_for_a_leftover(adopt: Adopt, by_hand: Database) -> None:
    theirs = "migration_sidecar_scratch_of_ada"
    execute(by_hand, f"CREATE DATABASE {theirs}")
    try:
        adopt()
        assert rows(by_hand, SCRATCH) == [(theirs,)]
    finally:
        execute(by_hand, f"DROP DATABASE {theirs}")


CANARY = 'Kanari: %25@vo\'gel + "1/2"'


@pytest.fixture
def guarded(history: Environment, by_hand: Database, postgres: PostgresServer) -> Iterator[Environment]:
    role, owner = sql.Identifier("canary_adopter"), sql.Identifier(by_hand.name)
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, CANARY))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(owner, role))
        url = make_url(history.url).set(username="canary_adopter", password=CANARY)
        history.set_url(url.render_as_string(hide_password=False))
        yield history
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owner))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_the_password_is_told_nowhere(guarded: Environment, by_hand: Database) -> None:
    guarded.revision("a1", REVISION + '; op.execute("SELECT pg_sleep(1)")', "pass", below=None)
    process, words = begun(guarded), ""
    while process.poll() is None:
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            try:
                words += " ".join(each.cmdline())
            except psutil.Error:
                continue
        time.sleep(0.05)
    told = "".join(process.communicate())
    assert "adopted" in told, told
    told += words + str(rows(by_hand, "SELECT journal::text FROM migration_sidecar.journal"))
    told += str(rows(by_hand, "SELECT operations::text FROM migration_sidecar.operations"))
    guarded.revision("a1", "raise RuntimeError(op.get_bind().engine.url.password)", "pass", below=None)
    execute(by_hand, "TRUNCATE alembic_version")
    failed = begun(guarded).communicate()
    assert "CM-555" in failed[1]
    assert "vo'gel" not in told + "".join(failed)
    assert "Kanari" not in told + "".join(failed)


@pytest.fixture
def without_createdb(history: Environment, by_hand: Database, postgres: PostgresServer) -> Iterator[Environment]:
    """The database belongs to a role that may create no other."""
    role, owner = sql.Identifier("plain_adopter"), sql.Identifier(by_hand.name)
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(role))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(owner, role))
        execute(by_hand, "GRANT ALL ON SCHEMA public TO plain_adopter; ALTER TABLE t_orders OWNER TO plain_adopter")
        history.set_url(make_url(history.url).set(username="plain_adopter", password="plain").render_as_string(False))
        yield history
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owner))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def schemas(database: Database) -> set[str]:
    return {name for (name,) in rows(database, "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'")}


def test_a_role_that_may_create_no_database_builds_in_a_schema_that_never_stays(
    adopt: Adopt, without_createdb: Environment, by_hand: Database
) -> None:
    found = json.loads(adopt("--json", "--dry-run").stdout)
    assert (found["state"], found["built_in"]) == ("same", "a scratch schema")
    assert schemas(by_hand) == {"public", "information_schema"}
    assert "only in the revision" in adopt(revision="a2", code=1).stdout
    assert is_untouched(by_hand)
    assert "adopted" in adopt().stdout
    assert version(by_hand) == ["a1"]
    assert schemas(by_hand) == {"public", "information_schema", "migration_sidecar"}


@pytest.mark.parametrize(
    "naughty",
    [
        'op.execute("DROP TABLE public.t_orders CASCADE")',
        'op.execute("DROP TABLE public.t_orders CASCADE"); op.execute("COMMIT")',
        "op.execute(\"UPDATE public.t_orders SET name = 'lost'\"); op.get_bind().commit()",
        "op.execute(\"UPDATE public.t_orders SET name = 'lost'\"); op.get_bind().connection.dbapi_connection.commit()",
        'op.execute("SET search_path TO public"); op.execute("ALTER TABLE t_orders ADD gone int")',
        'op.get_context().autocommit_block().__enter__(); op.execute("DROP TABLE public.t_orders CASCADE")',
        'op.execute("ROLLBACK"); op.execute("DROP TABLE public.t_orders CASCADE"); op.execute("COMMIT")',
        "with op.get_bind().engine.begin() as other: other.exec_driver_sql('TRUNCATE public.t_orders')",
    ],
)
def test_a_revision_built_in_a_schema_cannot_change_the_real_tables_whatever_it_does(
    naughty: str, adopt: Adopt, without_createdb: Environment, by_hand: Database
) -> None:
    execute(by_hand, "INSERT INTO t_orders (name) VALUES ('kept')")
    without_createdb.revision("b1", naughty, "pass", below=None)
    adopt(revision="b1", code=1)
    assert rows(by_hand, "SELECT * FROM t_orders") == [(1, "kept", "calm")]
    assert schemas(by_hand) == {"public", "information_schema"}


def test_objects_in_several_schemas_need_a_role_that_may_create_databases(
    adopt: Adopt, without_createdb: Environment, by_hand: Database
) -> None:
    execute(by_hand, "CREATE SCHEMA stock CREATE TABLE t (id int)")
    told = adopt(code=1).stderr
    assert "CM-555" in told
    assert "CREATEDB" in told


STYLES = {
    "a connection": ("poolclass=pool.NullPool", "poolclass=pool.NullPool"),
    "a transaction of its own": ("connectable.connect()", "connectable.begin()"),
    "autocommit": ("poolclass=pool.NullPool", 'poolclass=pool.NullPool, isolation_level="AUTOCOMMIT"'),
    "a version table elsewhere": (
        "connection=connection,",
        'connection=connection, version_table="at", version_table_schema="public", include_schemas=True,',
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("template", ["generic", "async"])
def test_any_env_py_adopts(
    template: str, style: str, make_environment: MakeEnvironment, adopt: Adopt, by_hand: Database
) -> None:
    environment = make_environment(template, name=template)
    environment.revision("a1", f"for each in {BY_HAND.strip().splitlines()!r}: op.execute(each)", "pass")
    file = environment.folder / "alembic" / "env.py"
    text = file.read_text()
    assert STYLES[style][0] in text
    file.write_text(text.replace(*STYLES[style]))
    adopt("--config", str(environment.ini))
    table = "at" if "version_table" in file.read_text() else "alembic_version"
    assert rows(by_hand, f"SELECT version_num FROM {table}") == [("a1",)]
    assert rows(by_hand, "SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'stamped'") == [(1,)]


@pytest.mark.parametrize("style", ["a connection", "a transaction of its own", "a version table elsewhere"])
@pytest.mark.parametrize("template", ["generic", "async"])
def test_any_env_py_builds_in_a_schema(
    template: str, style: str, make_environment: MakeEnvironment, adopt: Adopt, without_createdb: Environment
) -> None:
    environment = make_environment(template, name=template)
    scheme = make_url(environment.url).drivername
    environment.set_url(make_url(without_createdb.url).set(drivername=scheme).render_as_string(False))
    environment.revision("a1", f"for each in {BY_HAND.strip().splitlines()!r}: op.execute(each)", "pass")
    file = environment.folder / "alembic" / "env.py"
    file.write_text(file.read_text().replace(*STYLES[style]))
    assert "scratch schema" in adopt("--json", "--dry-run", "--config", str(environment.ini)).stdout


def test_a_revision_that_leaves_its_transaction_needs_a_role_that_may_create_databases(
    adopt: Adopt, without_createdb: Environment, by_hand: Database
) -> None:
    file = next((without_createdb.folder / "alembic" / "versions").glob("*a1*.py"))
    block = "def upgrade():\n    with op.get_context().autocommit_block():\n        pass\n"
    file.write_text(file.read_text().replace("def upgrade():\n", block, 1))
    told = adopt(code=1).stderr
    assert f"{file.name}:" in told
    assert "autocommit_block cannot leave" in told
    assert schemas(by_hand) == {"public", "information_schema"}


def test_autocommit_cannot_be_undone_so_nothing_is_built_in_the_real_database(
    adopt: Adopt, without_createdb: Environment, by_hand: Database
) -> None:
    file = without_createdb.folder / "alembic" / "env.py"
    file.write_text(file.read_text().replace(*STYLES["autocommit"]))
    assert "AUTOCOMMIT" in adopt(code=1).stderr
    assert schemas(by_hand) == {"public", "information_schema"}
