"""When Flask-Migrate is thought to keep the environment, and which files then hold the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from migration_sidecar.config.flask_application import locate
from migration_sidecar.config.settings import CommandLineOverrides, read_settings

ALEMBIC = "[alembic]\nscript_location = alembic\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    application = tmp_path / "shop" / "backend"
    application.mkdir(parents=True)
    monkeypatch.chdir(application)
    return application


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", ["wsgi.py", "app.py"])
def test_a_module_where_flask_looks_is_enough(name: str, folder: Path) -> None:
    write(folder / name)
    assert locate(None, {}, None)[1] == {"app": None, "directory": None}


@pytest.mark.parametrize("name", [".flaskenv", ".env"])
def test_the_variable_may_stand_in_a_file_of_a_folder_above(name: str, folder: Path) -> None:
    write(folder.parent / name, "FLASK_APP=shop\n")
    assert locate(None, {}, None)[1] is not None


def test_a_file_of_variables_that_names_no_application_says_nothing(folder: Path) -> None:
    write(folder / ".env", "DATABASE_URL=postgresql://h/x\n")
    (folder / ".flaskenv").mkdir()
    assert locate(None, {}, None)[1] is None


def test_a_pyproject_without_alembic_is_in_nobodys_way(folder: Path) -> None:
    write(folder / "pyproject.toml", "[project]\nname = 'shop'\n")
    assert locate(None, {"FLASK_APP": "shop"}, None)[1] is not None


def test_what_alembic_would_use_comes_first(folder: Path) -> None:
    told = {"FLASK_APP": "shop"}
    named = write(folder / "migrations" / "alembic.ini", "[alembic]\n")
    assert locate(named, told, None)[1] is None
    assert locate(None, {**told, "ALEMBIC_CONFIG": str(named)}, None)[1] is None
    toml = write(folder / "pyproject.toml", "[tool.alembic]\nscript_location = 'alembic'\n")
    assert locate(None, told, None)[1] is None
    toml.unlink()
    write(folder / "alembic.ini", ALEMBIC)
    assert locate(None, told, None)[1] is None


def test_an_application_that_is_named_comes_before_what_alembic_would_use(folder: Path) -> None:
    write(folder / "alembic.ini", ALEMBIC)
    assert locate(None, {}, "shop")[1] == {"app": "shop", "directory": None}
    named = write(folder / "migrations" / "alembic.ini", "[alembic]\n")
    assert locate(named, {}, "shop")[1] == {"app": "shop", "directory": str(named.parent)}


def test_settings_come_from_the_usual_folder_and_from_the_applications_pyproject(folder: Path) -> None:
    write(folder / "migrations" / "alembic.ini", "[alembic]\n[migration_sidecar]\naudit = shop-audit\n")
    toml = "[tool.migration_sidecar]\nmemory_limit_mb = 512\naudit = 'other'\n"
    write(folder / "pyproject.toml", toml)
    settings = read_settings(None, {}, CommandLineOverrides(app="shop"))
    assert (settings.service, settings.audit_app_id, settings.memory_bytes) == ("backend", "shop-audit", 512 << 20)
    assert settings.job_environment["flask"] == {"app": "shop", "directory": None}
    assert not settings.uses_our_environment


def test_no_file_is_needed(folder: Path) -> None:
    settings = read_settings(None, {"FLASK_APP": "shop"})
    assert (settings.service, settings.url) == ("backend", None)
