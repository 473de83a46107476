"""An environment that lives on one branch says so once, and everybody means the same by head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, until, version


@pytest.fixture
def environment(environment: Environment) -> Environment:
    """With two branches, of which only one is this service's."""
    environment.revision("a1")
    label(environment.revision("m1", below="a1"), "main")
    environment.revision("m2", below="m1")
    label(environment.revision("o1", below="a1"), "other")
    return environment


def label(file: Path, name: str) -> None:
    file.write_text(file.read_text().replace("branch_labels = None", f"branch_labels = {name!r}"))


def with_target(environment: Environment, target: str) -> Environment:
    environment.ini.write_text(environment.ini.read_text() + f"target = {target}\n")
    return environment


@pytest.mark.parametrize("target", ["head", "m2"])
async def test_a_database_at_the_default_target_is_at_head(
    target: str, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    engine = start_engine(with_target(environment, "main@head"))
    status = await engine.reader.status()
    assert (status.pending, status.head_revisions) == (["a1", "m1", "m2"], ["m2"])
    assert [each.id for each in (await engine.reader.plan(Action.UPGRADE, target)).revisions] == ["a1", "m1", "m2"]
    operation = await carry_out(engine, target=target)
    assert (operation.state, version(database)) == (OperationState.SUCCEEDED, ["m2"])
    status = await engine.reader.status()
    assert (status.state, status.pending, status.error) == (DatabaseState.AT_HEAD, [], None)


async def test_start_up_migrates_to_the_default_target(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    engine = start_engine(with_target(environment, "main@head"))
    await engine.startup.run()

    async def is_ready() -> bool:
        return (await engine.startup.readiness())[0]

    await until(is_ready)
    assert version(database) == ["m2"]


async def test_heads_still_means_all_of_them(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    engine = start_engine(with_target(environment, "main@head"))
    assert (await carry_out(engine, target="heads")).state is OperationState.SUCCEEDED
    assert version(database) == ["m2", "o1"]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


@pytest.mark.parametrize("target", ["middle@head", "m9", "a1@head"])
async def test_a_default_target_that_is_none_is_refused(
    target: str, environment: Environment, start_engine: StartEngine
) -> None:
    status = await start_engine(with_target(environment, target)).reader.status()
    assert status.error is not None
    assert status.error.code in ("CM-701", "CM-301")


async def test_env_py_reads_the_default_target(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    env = environment.folder / "alembic" / "env.py"
    env.write_text(env.read_text() + "\nassert context.get_revision_argument() == 'm2'\n")
    engine = start_engine(with_target(environment, "main@head"))
    assert (await engine.reader.status()).error is None
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


def run(environment: Environment, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("migration-sidecar"))
    command = [program, *words, "-c", str(environment.ini)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_the_command_line_takes_it_as_an_option(environment: Environment, database: Database) -> None:
    assert run(environment, "upgrade", "--default-target", "main@head").returncode == 0
    assert version(database) == ["m2"]
    assert json.loads(run(environment, "status", "--json").stdout)["state"] == "behind"
    assert json.loads(run(environment, "status", "--json", "--default-target", "m2").stdout)["state"] == "at_head"


def test_relative_targets_need_no_revision_file(environment: Environment, database: Database) -> None:
    """They load only where env.py has prepared it."""
    needs = "from alembic import context\n\nimport prepared\n\ncontext.config.attributes['x']\n"
    for file in environment.versions.glob("*.py"):
        file.write_text(needs + file.read_text())
    (environment.folder / "more").mkdir()
    (environment.folder / "more" / "prepared.py").touch()
    env = environment.folder / "alembic" / "env.py"
    before = "import sys\nfrom alembic import context\n"
    before += f"sys.path.insert(0, {str(environment.folder / 'more')!r})\ncontext.config.attributes['x'] = 1\n"
    env.write_text(before + env.read_text())
    with_target(environment, "main@head")
    for words, at in ("upgrade +1", "a1"), ("upgrade main@+1", "m1"), ("upgrade", "m2"), ("downgrade -1", "m1"):
        done = run(environment, *words.split())
        assert done.returncode == 0, done.stdout + done.stderr
        assert version(database) == [at]


def test_sql_is_told_whole_and_what_cannot_be_told_is_named(environment: Environment, database: Database) -> None:
    environment.revision("m1", f"op.execute('SELECT {', '.join(['1'] * 200)}')", below="a1")
    environment.revision("m2", "op.get_bind().execute('SELECT 1').scalar()", below="m1")
    told = run(environment, "plan", "m2", "--sql", env={**os.environ, "COLUMNS": "20"}).stdout
    assert f"SELECT {', '.join(['1'] * 200)};" in told.splitlines()
    assert "-- m2: no SQL can be shown, because m2.py:12 raised AttributeError without a connection." in told
