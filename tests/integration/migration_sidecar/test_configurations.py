"""Whatever file Alembic takes its configuration from, in whatever folder it is started, the same is done here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from migration_sidecar.config.settings import CommandLineOverrides, Settings, read_settings
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import REVISION, Environment, carry_out, version

ENV = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine({url!r})
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


class Configured(Environment):
    """Stands in for an environment whose settings were read in another way."""

    def __init__(self, settings: Settings) -> None:
        self.read = settings

    def settings(self, **environment: str) -> Settings:
        return self.read


StartWith = Callable[..., Engine]


@pytest.fixture
def start_with(start_engine: StartEngine) -> StartWith:
    def start(config_file: Path, **given: object) -> Engine:
        return start_engine(Configured(read_settings(config_file, {}, CommandLineOverrides(**given))))  # type: ignore[arg-type]

    return start


def scripts(folder: Path, database: Database, *revisions: str, env: str = ENV) -> Path:
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(env.format(url=database.url))
    below = None
    for revision in revisions:
        file(folder / "versions", revision, below)
        below = revision
    return folder


def file(folder: Path, revision: str, below: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    create = f'    op.execute("CREATE TABLE t_{revision} (id int)")'
    drop = f'    op.execute("DROP TABLE t_{revision}")'
    text = REVISION.format(message="", revision=revision, below=below, depends_on=None, upgrade=create, downgrade=drop)
    (folder / f"{revision}.py").write_text(text)


def ini(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


async def test_pyproject_toml_alone_is_enough(tmp_path: Path, database: Database, start_with: StartWith) -> None:
    scripts(tmp_path / "migrations", database, "one", "two")
    file(tmp_path / "more", "three", "two")
    config = ini(
        tmp_path / "pyproject.toml",
        """
        [tool.alembic]
        script_location = "%(here)s/migrations"
        version_locations = ["%(here)s/migrations/versions", "%(here)s/more"]

        [tool.migration_sidecar]
        service = "cds-orders"
        patience_seconds = 5
        endpoint_downgrades = true
        """,
    )
    engine = start_with(config)

    assert (engine.settings.service, engine.settings.patience_seconds) == ("cds-orders", 5)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(database) == ["three"]
    assert (await carry_out(engine, action="downgrade", target="one")).state is OperationState.SUCCEEDED


async def test_an_ini_and_pyproject_toml_beside_it_complete_each_other(
    tmp_path: Path, database: Database, start_with: StartWith
) -> None:
    env = ENV.replace("{url!r}", "context.config.get_main_option('sqlalchemy.url')")
    scripts(tmp_path / "migrations", database, "one", env=env)
    ini(tmp_path / "alembic.ini", f"[alembic]\nsqlalchemy.url = {database.url.replace('%', '%%')}\n")
    toml = ini(tmp_path / "pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/migrations"\n')

    for config in (tmp_path / "alembic.ini", toml):
        engine = start_with(config)
        assert engine.settings.url is not None
        assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(database) == ["one"]


async def test_the_section_of_the_ini_is_the_one_that_was_named(
    tmp_path: Path, database: Database, start_with: StartWith
) -> None:
    scripts(tmp_path / "billing", database, "bill")
    config = ini(
        tmp_path / "alembic.ini",
        "[alembic]\nscript_location = nowhere\n[billing]\nscript_location = %(here)s/billing\n",
    )
    assert (await carry_out(start_with(config, section="billing"))).state is OperationState.SUCCEEDED
    assert version(database) == ["bill"]


@pytest.mark.parametrize(
    "separator", ["path_separator = os", "version_path_separator = os", "path_separator = newline"]
)
async def test_several_folders_and_the_folders_in_them_are_read(
    separator: str, tmp_path: Path, database: Database, start_with: StartWith
) -> None:
    scripts(tmp_path / "migrations", database)
    file(tmp_path / "a" / "2025", "one")
    file(tmp_path / "b" / "deep" / "er", "two", "one")
    between = "\n  " if "newline" in separator else ":"
    config = ini(
        tmp_path / "alembic.ini",
        "[alembic]\nscript_location = %(here)s/migrations\nrecursive_version_locations = true\n"
        f"{separator}\nversion_locations = %(here)s/a{between}%(here)s/b\n",
    )
    assert (await carry_out(start_with(config))).state is OperationState.SUCCEEDED
    assert version(database) == ["two"]


async def test_a_package_may_hold_the_scripts(tmp_path: Path, database: Database, start_with: StartWith) -> None:
    scripts(tmp_path / "orders_package" / "migrations", database, "one")
    (tmp_path / "orders_package" / "__init__.py").touch()
    config = ini(
        tmp_path / "alembic.ini", "[alembic]\nscript_location = orders_package:migrations\nprepend_sys_path = .\n"
    )

    assert (await carry_out(start_with(config))).state is OperationState.SUCCEEDED
    assert version(database) == ["one"]


@pytest.mark.parametrize("started_in", ["", "deploy", "elsewhere"])
async def test_a_relative_folder_is_found_from_the_file_first_and_then_from_where_it_was_started(
    started_in: str,
    tmp_path: Path,
    database: Database,
    start_with: StartWith,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`alembic -c deploy/alembic.ini` in the project's folder, or `--config` from anywhere."""
    beside = started_in == "elsewhere"
    scripts(tmp_path / "deploy" / "migrations" if beside else tmp_path / "migrations", database, "one")
    location = "../migrations" if started_in == "deploy" else "migrations"
    config = ini(tmp_path / "deploy" / "alembic.ini", f"[alembic]\nscript_location = {location}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / started_in)

    assert (await carry_out(start_with(Path(os.path.relpath(config))))).state is OperationState.SUCCEEDED
    assert version(database) == ["one"]


async def test_what_env_py_imports_is_found_in_the_folder_of_the_file_and_where_it_was_started(
    tmp_path: Path, database: Database, start_with: StartWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project_models.py").touch()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "deploy_models.py").touch()
    scripts(tmp_path / "deploy" / "migrations", database, "one", env="import project_models, deploy_models\n" + ENV)
    config = ini(
        tmp_path / "deploy" / "alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
    )
    monkeypatch.chdir(tmp_path)

    assert (await carry_out(start_with(config))).state is OperationState.SUCCEEDED


async def test_env_py_sees_the_options_of_alembics_own_command_line(
    tmp_path: Path, database: Database, start_with: StartWith
) -> None:
    look = "options = context.config.cmd_opts\nassert options.x == ['a=1', 'b=2'], options.x\nassert options.cmd\n"
    look += "assert options.raiseerr is False\n"
    look += "assert context.get_x_argument(as_dictionary=True) == {{'a': '1', 'b': '2'}}\n"
    scripts(tmp_path / "migrations", database, "one", env="from alembic import context\n" + look + ENV)
    config = ini(tmp_path / "alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\n")

    assert (await carry_out(start_with(config, x=("a=1", "b=2")))).state is OperationState.SUCCEEDED
