"""A service is migrated in its own interpreter, which has Alembic and a driver, and nothing of ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from migration_sidecar.config.settings import CommandLineOverrides, read_settings
from migration_sidecar.contract.errors import Misconfigured, ProblemError
from migration_sidecar.contract.messages import DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, version

ALEMBIC = ("alembic", "mako", "markupsafe", "sqlalchemy", "typing_extensions.py")
DRIVER = ("psycopg", "psycopg_binary", "psycopg_binary.libs")
OURS_IN_ENV = "from migration_sidecar.environment import run\nfrom sqlalchemy import MetaData\n\nrun(MetaData())\n"


def interpreter(folder: Path, *packages: str) -> Path:
    """A virtual environment that finds these packages only."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = Path(sysconfig.get_paths()["platlib"])
    for package in packages:
        for part in (ours / package, *ours.glob(f"{package}-*.dist-info")):
            (site / part.name).symlink_to(part)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return interpreter(tmp_path_factory.mktemp("interpreter") / "venv", *ALEMBIC, *DRIVER)


@pytest.fixture
async def engine_with(environment: Environment) -> AsyncIterator[Callable[[str], Engine]]:
    engines: list[Engine] = []

    def start(python: str) -> Engine:
        engines.append(Engine(read_settings(environment.ini, {}, CommandLineOverrides(python=python))))
        return engines[-1]

    yield start
    for engine in engines:
        await engine.close()


def test_the_interpreter_of_these_tests_lacks_our_package_and_what_it_needs(python: Path) -> None:
    for module in ("migration_sidecar", "pydantic", "asyncpg"):
        done = subprocess.run([python, "-c", f"import {module}"], cwd=python.parent, capture_output=True, check=False)
        assert b"ModuleNotFoundError" in done.stderr


async def test_it_migrates_both_ways(
    environment: Environment, database: Database, python: Path, engine_with: Any
) -> None:
    environment.revision("one", "import sys; op.execute(f\"COMMENT ON SCHEMA public IS '{sys.prefix}'\")")
    environment.revision("two")
    engine = engine_with(str(python))

    assert (await engine.reader.status()).pending == ["one", "two"]
    assert (await carry_out(engine, target="heads")).state is OperationState.SUCCEEDED
    assert version(database) == ["two"]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    with database.connect() as connection:
        (where,) = connection.execute("SELECT obj_description('public'::regnamespace)").fetchone() or ("",)
    assert where == str(python.parents[1])
    assert (await carry_out(engine, action="downgrade", target="one")).state is OperationState.SUCCEEDED
    assert version(database) == ["one"]


async def test_even_our_own_env_py_works_there(
    environment: Environment, database: Database, python: Path, engine_with: Any
) -> None:
    (environment.folder / "alembic" / "env.py").write_text(OURS_IN_ENV)
    environment.revision("one")

    operation = await carry_out(engine_with(str(python)))

    assert operation.error is None
    assert version(database) == ["one"]


async def test_our_modules_have_no_bare_names_there(
    environment: Environment, database: Database, python: Path, engine_with: Any
) -> None:
    """Python puts the folder of a program first on its path, and ours has a `lock` and a `session`."""
    env = environment.folder / "alembic" / "env.py"
    bare = "from importlib.util import find_spec\nassert not find_spec('lock') and not find_spec('session')\n"
    env.write_text(bare + env.read_text())
    environment.revision("one")

    assert (await carry_out(engine_with(str(python)))).state is OperationState.SUCCEEDED


async def test_a_path_relative_to_the_shell_or_to_the_file_is_understood(
    environment: Environment, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(python.parent)
    assert read_settings(environment.ini, {}, CommandLineOverrides(python="./python")).python == python
    (environment.folder / "venv").symlink_to(python.parents[1])
    environment.ini.write_text(environment.ini.read_text() + "python = venv/bin/python\n")
    assert read_settings(environment.ini, {}).python == environment.folder / "venv" / "bin" / "python"


@pytest.mark.parametrize("named", ["nowhere/python", "no-such-python", "/dev/null", "."])
def test_an_interpreter_that_is_not_there_is_refused_at_once(named: str, environment: Environment) -> None:
    with pytest.raises(Misconfigured, match="--python: there is no interpreter"):
        read_settings(environment.ini, {}, CommandLineOverrides(python=named))


async def test_an_interpreter_without_alembic_is_told_what_it_lacks(
    environment: Environment, tmp_path: Path, engine_with: Any
) -> None:
    engine = engine_with(str(interpreter(tmp_path / "bare", *DRIVER)))
    with pytest.raises(ProblemError, match=r"CM-409.*lacks alembic and sqlalchemy.*Install them there"):
        await engine.revision_files.history()
    status = await engine.reader.status()
    assert status.error is not None
    assert status.error.code == "CM-409"


async def test_an_interpreter_without_the_driver_is_told_what_it_lacks(
    environment: Environment, tmp_path: Path, engine_with: Any
) -> None:
    environment.revision("one")
    engine = engine_with(str(interpreter(tmp_path / "driverless", *ALEMBIC)))
    with pytest.raises(ProblemError) as refused:
        await carry_out(engine)

    assert refused.value.problem.code == "CM-701"
    assert "needs the module psycopg" in refused.value.problem.detail
    assert "Install it there" in refused.value.problem.next_step


async def test_a_program_that_is_no_python_is_refused(environment: Environment, engine_with: Any) -> None:
    with pytest.raises(ProblemError, match="CM-409"):
        await engine_with("/bin/false").revision_files.history()


def test_ours_is_used_where_none_is_named(environment: Environment) -> None:
    assert read_settings(environment.ini, {}).python is None
    assert Engine(read_settings(environment.ini, {})).forkserver.python == sys.executable
