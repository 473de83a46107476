"""How the application of a Flask-Migrate environment is found, and what is told where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from tests.environments import snapshot, ways
from tests.environments.journeys import Traveller
from tests.environments.styles import BY_NAME
from tests.environments.ways import DidNotMigrate, Place
from tests.integration.databases import fresh_database

STYLE = BY_NAME["flask_migrate"]
HEAD = {"public.alembic_version": ["37f06a334dbf"]}
FACTORY = 'create_app("production")'
MADE = "return app\n"
WRITES = """with app.app_context():
        db.session.execute(db.text("CREATE TABLE made_by_the_application (id int)"))
        db.session.commit()
    return app
"""


@pytest.fixture(scope="session")
def initialised(traveller: Traveller, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """After `flask db init`, in the interpreter of this environment."""
    with fresh_database(traveller.servers["18"]()) as database:
        config = STYLE.place(tmp_path_factory.mktemp("initialised"), database.url)
        python = traveller.interpreters["flask_newest"]()
        place = Place(STYLE, config, database, traveller.nurseries.here(), python)
        ways.init_flask_migrate(place)
        return place


@pytest.fixture
def place(initialised: Place, traveller: Traveller, tmp_path: Path) -> Iterator[Place]:
    copytree(folder(initialised), tmp_path / STYLE.name)
    with fresh_database(traveller.servers["18"]()) as database:
        yield replace(initialised, config=tmp_path / STYLE.name / STYLE.config, database=database)


def folder(place: Place) -> Path:
    return place.config.parent


def unnamed(place: Place) -> Place:
    """Without the file that names the application."""
    (folder(place) / ".flaskenv").unlink()
    return place


def changed(place: Place, old: str, new: str, file: str = "microblog/__init__.py") -> Place:
    text = (folder(place) / file).read_text()
    assert old in text
    (folder(place) / file).write_text(text.replace(old, new))
    return place


def with_variable(place: Place, name: str, value: str) -> Place:
    return replace(place, style=replace(place.style, variables=(*place.style.variables, (name, value))))


def ours(place: Place, *words: str) -> None:
    place.run("migration-sidecar", *words, "--python", str(place.python))


def refusal(place: Place, *words: str) -> str:
    """What is said, when nothing was touched."""
    before = snapshot.take(place.database)
    with pytest.raises(DidNotMigrate) as refused:
        ours(place, *words)
    assert snapshot.take(place.database) == before
    said = str(refused.value)
    assert "Traceback" not in said
    return said


def versions(place: Place) -> dict[str, list[str]]:
    return snapshot.take(place.database).versions


def test_the_variable_may_name_a_factory_with_its_arguments(place: Place) -> None:
    ours(with_variable(unnamed(place), "FLASK_APP", f"microblog:{FACTORY}"), "upgrade")
    assert versions(place) == HEAD


@pytest.mark.parametrize("module", ["wsgi.py", "app.py"])
def test_a_module_where_flask_looks_needs_no_name(module: str, place: Place) -> None:
    (folder(unnamed(place)) / module).write_text(
        f"from microblog import create_app\napp = {FACTORY}\napp.run(port=1)\n"
    )
    ours(place, "upgrade")
    assert versions(place) == HEAD


def test_the_option_comes_before_the_variable(place: Place) -> None:
    ours(with_variable(place, "FLASK_APP", "elsewhere"), "upgrade", "--app", f"microblog:{FACTORY}")
    assert versions(place) == HEAD


def test_the_folder_may_be_the_one_that_the_application_names(place: Place) -> None:
    (folder(place) / "migrations").rename(folder(place) / "schema")
    ours(changed(place, "Migrate()", 'Migrate(directory="schema", command="database")'), "upgrade")
    assert versions(place) == HEAD


def test_with_the_option_the_folder_may_be_the_one_of_a_named_file(place: Place) -> None:
    (folder(place) / "migrations").rename(folder(place) / "schema")
    ours(place, "upgrade", "--app", f"microblog:{FACTORY}", "--config", "schema/alembic.ini")
    assert versions(place) == HEAD


def test_an_application_sees_the_command_of_flask(place: Place) -> None:
    ours(changed(place, MADE, 'import sys\n    assert sys.argv[1:2] == ["db"], sys.argv\n    return app\n'), "upgrade")
    assert versions(place) == HEAD


def test_env_py_gets_its_arguments(place: Place) -> None:
    env = folder(place) / "migrations" / "env.py"
    env.write_text(env.read_text() + "\nassert context.get_x_argument(as_dictionary=True) == {'tenant': 'acme'}\n")
    ours(place, "upgrade", "-x", "tenant=acme")
    assert versions(place) == HEAD


def test_the_database_may_be_named_by_the_option(place: Place) -> None:
    elsewhere = with_variable(place, "MICROBLOG_DATABASE", "postgresql://nobody@nowhere.invalid/nothing")
    ours(elsewhere, "upgrade", "--database-url", place.database.url)
    assert versions(place) == HEAD


@pytest.mark.parametrize("command", ["status", "plan", "history"])
def test_looking_keeps_nothing_that_the_application_writes_while_it_is_made(command: str, place: Place) -> None:
    before = snapshot.take(place.database)
    ours(changed(place, MADE, WRITES), command)
    assert snapshot.take(place.database) == before


def test_a_file_that_is_named_is_taken_as_alembic_takes_it(place: Place) -> None:
    said = refusal(place, "upgrade", "--config", "migrations/alembic.ini")
    assert "alembic.ini names no script_location" in said
    assert "DATABASE_URL" not in said
    with pytest.raises(DidNotMigrate, match="No 'script_location' key found"):
        place.run("alembic", "-c", "migrations/alembic.ini", "upgrade", "head")


@pytest.mark.parametrize(
    ("old", "new", "code", "reason"),
    [
        ("    migrate.init_app", "    app.logger.info", "CM-701", "microblog has no Flask-Migrate"),
        ("Migrate()", 'Migrate(directory="elsewhere")', "CM-303", "no alembic.ini in elsewhere"),
        (MADE, 'os.environ["SECRET_KEY"]\n    return app\n', "CM-407", "__init__.py:21: it raised KeyError"),
        ("import os\n", "import os\nimport no_such_module\n", "CM-701", "No module named 'no_such_module'"),
        (
            "db.init_app(app)",
            'app.config["SQLALCHEMY_BINDS"] = {"other": os.environ["OTHER_DATABASE"]}\n    db.init_app(app)',
            "CM-701",
            "it migrates several databases",
        ),
    ],
)
def test_what_is_wrong_with_an_application_is_told(old: str, new: str, code: str, reason: str, place: Place) -> None:
    if "BINDS" in new:
        place = with_several_databases(place)
    said = refusal(changed(place, old, new), "upgrade")
    assert code in said
    assert reason in said


def with_several_databases(place: Place) -> Place:
    """As the template that Flask-Migrate has for them makes it."""
    migrations = folder(place) / "migrations"
    migrations.rename(folder(place) / "single")
    place.run("python", str(place.python), "-m", "flask", "db", "init", "--multidb")
    for file in (folder(place) / "single" / "versions").iterdir():
        file.rename(migrations / "versions" / file.name)
    return with_variable(place, "OTHER_DATABASE", place.database.address.url("postgres"))


def test_a_name_that_leads_to_no_application_is_told(place: Place) -> None:
    said = refusal(place, "upgrade", "--app", "elsewhere")
    assert "CM-701" in said
    assert "Flask finds no application by the name elsewhere" in said


def test_an_interpreter_without_flask_is_told(place: Place) -> None:
    with pytest.raises(DidNotMigrate, match=r"CM-701.*\n.*The interpreter lacks Flask-Migrate"):
        place.run("migration-sidecar", "upgrade", "--app", "microblog")
    (folder(unnamed(place)) / "app.py").write_text("raise SystemExit\n")
    with pytest.raises(DidNotMigrate, match=r"CM-303.*\n.*There is no alembic.ini here"):
        place.run("migration-sidecar", "upgrade")
