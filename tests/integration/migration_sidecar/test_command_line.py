"""`migration-sidecar`: the same engine from a shell."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner, Result

import migration_sidecar.engine
import migration_sidecar.store
from migration_sidecar.cli import app, migrating
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses, StartEngine
from tests.integration.migration_sidecar.environments import Environment, kinds, request, rows, tables, version

COMMAND = [sys.executable, "-c", "from migration_sidecar.cli import main; main()"]


@pytest.fixture
def shell(environment: Environment, shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in this process, on the shared processes."""
    monkeypatch.setattr(migration_sidecar.engine, "WarmProcesses", lambda *_: shared_processes)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--config", str(environment.ini)], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def two_revisions(environment: Environment) -> Environment:
    environment.revision("a1")
    environment.revision("a2")
    return environment


def test_the_whole_way_up_and_down(shell: Any, two_revisions: Environment, database: Database) -> None:
    assert "orders: empty, at base, head a2, 2 behind" in shell("status").stdout
    plan = shell("plan").stdout
    assert "a1" in plan
    assert "Make a2" in plan
    assert tables(database) == set()
    up = shell("upgrade", "head").stdout
    assert "applied a1" in up
    assert "orders: succeeded, at a2" in up
    assert "orders: unchanged, at a2" in shell("upgrade", "head").stdout
    assert "Nothing to do." in shell("plan").stdout
    history = shell("history").stdout.splitlines()
    assert history == ["→ a2  Make a2.", "  a1  Make a1."]
    assert "reverted a2" in shell("downgrade", "-1").stdout
    assert "at_head" not in shell("status").stdout
    assert version(database) == ["a1"]
    assert "orders: succeeded, at base" in shell("downgrade", "-1").stdout
    assert tables(database) == set()
    assert "orders: succeeded, at a1" in shell("upgrade", "+1").stdout


def test_how_far_behind_is_unknown_where_the_files_cannot_be_read(shell: Any, environment: Environment) -> None:
    answer = shell("status")
    assert "orders: empty, at base, head ?, ? behind" in answer.stdout
    assert "CM-303" in answer.stderr


def test_json_is_all_there_is_on_standard_output(shell: Any, two_revisions: Environment) -> None:
    assert json.loads(shell("status", "--json").stdout)["pending"] == ["a1", "a2"]
    assert json.loads(shell("plan", "--json", "--sql").stdout)["revisions"][0]["sql"] == "CREATE TABLE t_a1 (id int);"
    assert json.loads(shell("upgrade", "head", "--json").stdout)["state"] == "succeeded"
    assert [step["id"] for step in json.loads(shell("history", "--json").stdout)] == ["a2", "a1"]
    assert json.loads(shell("downgrade", "a1", "--json").stdout)["current_revisions"] == ["a1"]


def test_a_failed_migration_ends_with_1(shell: Any, environment: Environment) -> None:
    environment.revision("a1", 'op.execute("SELECT 1/0")')
    result = shell("upgrade", "head", code=1)
    assert "CM-401" in result.stderr
    assert "division by zero" in result.stderr
    assert json.loads(shell("upgrade", "head", "--json", code=1).stdout)["error"]["sqlstate"] == "22012"


@pytest.mark.parametrize(
    "arguments",
    [("upgrade", "nowhere"), ("upgrade", "-1"), ("downgrade", "+1"), ("downgrade", "-9"), ("upgrade", "a b"), ("fly",)],
)
def test_input_that_makes_no_sense_ends_with_2(
    arguments: tuple[str, ...], shell: Any, two_revisions: Environment, database: Database
) -> None:
    result = shell(*arguments, code=2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_missing_ini_ends_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--config", str(tmp_path / "alembic.ini")])
    assert result.exit_code == 2
    assert "CM-303" in result.stderr


def test_a_database_out_of_reach_ends_with_3(shell: Any, two_revisions: Environment) -> None:
    two_revisions.set_url(make_url(two_revisions.url).set(port=9).render_as_string(hide_password=False))
    assert "unreachable" in shell("status", code=3).stdout
    for command in (("upgrade", "head"), ("plan",), ("downgrade", "a1")):
        assert "CM-513" in shell(*command, code=3).stderr


def test_what_needs_a_person_ends_with_4(shell: Any, environment: Environment) -> None:
    environment.revision(
        "a1", 'op.execute("CREATE TABLE t_a1 (id int)"); op.execute("COMMIT"); op.execute("SELECT 1/0")'
    )
    assert "CM-402" in shell("upgrade", "head", code=4).stderr


def test_text_of_a_revision_cannot_draw_on_the_terminal(shell: Any, environment: Environment) -> None:
    file = environment.revision("a1")
    file.write_text(file.read_text().replace("Make a1", "[bold]big[/bold] \\x1b[2J"))
    assert "[bold]big[/bold]" in shell("history").stdout
    assert "\x1b" not in shell("history").stdout + shell("plan").stdout


def test_ctrl_c_cancels(environment: Environment, database: Database) -> None:
    environment.revision("a1")
    environment.revision("a2", 'op.execute("SELECT pg_sleep(60)")')
    sleeping = """SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
                  AND datname = current_database() AND pid <> pg_backend_pid()"""
    process = subprocess.Popen(
        [*COMMAND, "upgrade", "head", "-c", str(environment.ini)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process, closing(psycopg.connect(database.url, autocommit=True)) as watcher:
        while watcher.execute(sleeping).fetchone() == (0,):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert watcher.execute(sleeping).fetchone() == (0,)
    assert process.returncode not in (0, None)
    assert b"Traceback" not in output + errors
    assert version(database) == ["a1"]
    ((operation,),) = rows(database, "SELECT operation_id FROM migration_sidecar.operations")
    assert kinds(database, operation) == ["attempt", "started", "applied", "cancelled"]
    assert rows(database, "SELECT state FROM migration_sidecar.operations") == [("cancelled",)]


async def test_ctrl_c_before_the_answer_leaves_nothing_for_the_next_replica(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1")
    engine, wanted = start_engine(environment), request()
    store = migration_sidecar.store.Records.insert_operation

    async def stored_and_interrupted(*arguments: Any) -> None:
        await store(*arguments)
        command.cancel()
        await asyncio.sleep(60)

    monkeypatch.setattr(migration_sidecar.store.Records, "insert_operation", stored_and_interrupted)
    command = asyncio.create_task(migrating._carry_out(engine, wanted))
    with pytest.raises(asyncio.CancelledError):
        await command
    assert rows(database, "SELECT state FROM migration_sidecar.operations") == [("cancelled",)]
    assert tables(database) == set()
