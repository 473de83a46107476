"""`migration-sidecar`: the same engine from a shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner, Result

import migration_sidecar.database.records
import migration_sidecar.engine.engine
from migration_sidecar.cli import RELEASE, app
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, tables, version

ANOTHER_HISTORY = "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('zz99')"
NO_JOURNAL = "The journal cannot be kept in this database without GRANT"


@pytest.fixture
def shell(environment: Environment, shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in this process, on the shared processes."""
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--config", str(environment.ini)], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@contextmanager
def lowly(database: Database, environment: Environment) -> Iterator[None]:
    """The environment connects as somebody who was given nothing."""
    with database.connect() as connection:
        connection.execute("CREATE ROLE lowly_one LOGIN PASSWORD 'secret'")
        try:
            url = make_url(environment.url).set(username="lowly_one", password="secret")
            environment.set_url(url.render_as_string(hide_password=False))
            yield
        finally:
            connection.execute("DROP ROLE lowly_one")


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
    answer = shell("status", code=2)
    assert "orders: empty, at base, head ?, ? behind" in answer.stdout
    assert "CM-303" in answer.stderr


def test_a_status_that_is_not_whole_does_not_end_with_0(shell: Any, two_revisions: Environment) -> None:
    shell("upgrade", "a1")
    (two_revisions.versions / "a2.py").write_text("def upgrade(:\n")
    answer = shell("status", code=2)
    assert "orders: unknown, at a1, head ?, ? behind" in answer.stdout
    assert "CM-304" in answer.stderr
    shell("status", "--json", code=2)


@pytest.mark.parametrize("made", ["CREATE TABLE t_a1 (id int)", ANOTHER_HISTORY], ids=["unmanaged", "foreign"])
def test_a_database_that_is_not_this_history_s_is_a_case_for_a_person(
    made: str, shell: Any, two_revisions: Environment, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute(made)
    assert "CM-552" in shell("status", code=4).stderr
    shell("upgrade", "+1", code=4 if made == ANOTHER_HISTORY else 1)
    assert "CM-552" in shell("plan", code=1).stderr


def test_a_role_that_may_keep_no_journal_is_told_so_by_each_command(
    shell: Any, two_revisions: Environment, database: Database
) -> None:
    with lowly(database, two_revisions):
        for command, code in (("status", 3), ("plan", 1), ("upgrade", 3)):
            told = shell(command, code=code).stderr
            assert f"CM-504 A privilege is missing\n  why   {NO_JOURNAL}" in told
            assert f"GRANT CREATE ON DATABASE {database.name} TO lowly_one" in told


def test_what_else_a_role_may_not_do_is_told_in_the_server_s_words(
    shell: Any, two_revisions: Environment, database: Database
) -> None:
    shell("upgrade", "a1")
    with lowly(database, two_revisions):
        assert "permission denied for table alembic_version" in shell("status", code=3).stderr


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
    assert "Correct the revision file and migrate again" in result.stderr
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


@pytest.mark.parametrize("command", ["status", "upgrade", "serve"])
def test_a_missing_ini_ends_with_2_and_is_named_as_it_was_typed(command: str, tmp_path: Path) -> None:
    typed = str(tmp_path / "alembic.ini")
    result = CliRunner().invoke(app, [command, "--config", typed])
    assert result.exit_code == 2
    assert result.stderr.startswith("CM-303 The migration folder or its configuration file cannot be used\n")
    assert f"The file {typed} is not there." in result.stderr


def test_the_release_is_told() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"migration-sidecar {version_of(RELEASE)}\n")


def test_an_env_py_that_ends_itself_points_to_what_it_printed(shell: Any, two_revisions: Environment) -> None:
    env = two_revisions.folder / "alembic" / "env.py"
    env.write_text("print('No SECRET_KEY is set')\nraise SystemExit(1)\n")
    told = shell("status", code=2).stderr
    assert "env.py ended itself with exit code 1" in told
    assert "alembic current" in told
    assert "SECRET_KEY" not in told


def test_a_database_out_of_reach_ends_with_3(shell: Any, two_revisions: Environment) -> None:
    two_revisions.set_url(make_url(two_revisions.url).set(port=9).render_as_string(hide_password=False))
    assert "unreachable" in shell("status", code=3).stdout
    for command in (("upgrade", "head"), ("plan",), ("downgrade", "a1")):
        assert "CM-513" in shell(*command, code=3).stderr


def test_what_needs_a_person_ends_with_4(shell: Any, environment: Environment) -> None:
    environment.revision("a0")
    shell("upgrade")
    environment.revision(
        "a1", 'op.execute("CREATE TABLE t_a1 (id int)"); op.execute("COMMIT"); op.execute("SELECT 1/0")'
    )
    assert "CM-402" in shell("upgrade", "head", code=4).stderr
    assert "CM-402" in shell("status", code=4).stderr


def test_text_of_a_revision_cannot_draw_on_the_terminal(shell: Any, environment: Environment) -> None:
    file = environment.revision("a1")
    file.write_text(file.read_text().replace("Make a1", "[bold]big[/bold] \\x1b[2J"))
    assert "[bold]big[/bold]" in shell("history").stdout
    assert "\x1b" not in shell("history").stdout + shell("plan").stdout


def test_of_a_long_message_only_the_first_line_is_listed(shell: Any, environment: Environment) -> None:
    file = environment.revision("a1")
    file.write_text(file.read_text().replace("Make a1.", "Make a1.\nAnd tell at length why."))
    assert shell("history").stdout == "  a1  Make a1.\n"
    assert "at length" not in shell("plan").stdout
    assert "at length" in shell("history", "--json").stdout
