"""A password with every awkward character is searched for wherever text leaves the engine."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psutil
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

import migration_sidecar.engine.engine
from migration_sidecar.cli import app
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, SharedProcesses, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows

CANARY = 'Kanari: %25@vo\'gel\\ + "1/2" für'


def spellings(text: str) -> set[str]:
    """As it stands, in a URL, in an ini, in JSON, in Python, in SQL, and in base64 wherever it begins."""
    quoted = {text, quote(text), quote(text, safe=""), quote_plus(text)}
    doubled = {text.replace(character, 2 * character) for character in "%'"}
    written = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    encoded = [b64encode(b" " * before + text.encode()).decode()[4:-4] for before in range(3)]
    return quoted | doubled | written | set(encoded)


SPELLINGS = spellings(CANARY) | {"vo'gel"}

CLUMSY = """
url = op.get_bind().engine.url
{}
"""
LEAKS = {
    "the URL": 'raise RuntimeError("cannot reach " + url.render_as_string(hide_password=False))',
    "the password": 'raise RuntimeError("cannot log in with " + url.password)',
    "a quoted password": "raise RuntimeError(repr(url.password))",
    "SQL that holds it": """op.execute("CREATE ROLE x PASSWORD '" + url.password.replace("'", "''") + "' NONSENSE")""",
}


@pytest.fixture
def guarded_url(postgres: PostgresServer, database: Database) -> Iterator[Any]:
    """The database's URL for a role with that password."""
    role, owner = sql.Identifier("canary_owner"), sql.Identifier(database.name)
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, CANARY))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(owner, role))
        yield lambda url: make_url(url).set(username="canary_owner", password=CANARY).render_as_string(False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owner))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture(params=["generic", "async"])
def guarded(request: pytest.FixtureRequest, make_environment: MakeEnvironment, guarded_url: Any) -> Environment:
    environment = make_environment(request.param)
    environment.set_url(guarded_url(environment.url))
    return environment


def everything_stored(database: Database) -> str:
    stored = rows(database, "SELECT journal::text FROM migration_sidecar.journal")
    stored += rows(database, "SELECT operations::text FROM migration_sidecar.operations")
    return "\n".join(text for (text,) in stored)


def assert_secret(text: str) -> None:
    found = [spelling for spelling in SPELLINGS if spelling in text]
    assert not found, text


async def seen(engine: Engine) -> str:
    return (await engine.reader.status()).model_dump_json() + str((await engine.startup.readiness())[1])


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
async def test_a_revision_that_talks_about_its_password_is_not_repeated(
    leak: str,
    guarded: Environment,
    start_engine: StartEngine,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "migration_sidecar")
    guarded.revision("a1")
    guarded.revision("a2", CLUMSY.format(leak))
    engine = start_engine(guarded)
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.current_revisions == ["a1"]
    told = operation.model_dump_json() + everything_stored(database) + await seen(engine)
    assert_secret(told + caplog.text + "".join(capfd.readouterr()))


async def test_a_refused_password_and_a_server_that_is_away_are_told_without_it(
    guarded: Environment, start_engine: StartEngine, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    guarded.revision("a1")
    good = make_url(guarded.url)
    for bad in (good.set(username="postgres"), good.set(port=9), good.set(database="no where"), good.set(host="a b")):
        guarded.set_url(bad.render_as_string(hide_password=False))
        engine = start_engine(guarded)
        with pytest.raises(ProblemError) as refused:
            await engine.operations.accept(request())
        assert_secret(refused.value.problem.model_dump_json() + str(refused.value) + await seen(engine) + caplog.text)


def test_an_ini_that_cannot_be_read_is_told_without_it(
    make_environment: MakeEnvironment,
    guarded_url: Any,
    shared_processes: SharedProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A % that was not doubled: configparser's own message shows the whole URL."""
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)
    environment = make_environment()
    environment.revision("a1")
    environment.set_url(guarded_url(environment.url))
    environment.ini.write_text(environment.ini.read_text().replace("%%", "%"))
    for command in ("status", "upgrade", "plan", "history"):
        result = CliRunner().invoke(app, [command, "--config", str(environment.ini)])
        assert result.exit_code == 2
        assert_secret(result.output + str(result.exception))


async def test_no_command_line_of_a_process_shows_it(
    guarded: Environment, start_engine: StartEngine, tmp_path: Path
) -> None:
    found = tmp_path / "command lines"
    guarded.revision("a1", f"import psutil; open({str(found)!r}, 'w').write(str(psutil.Process().cmdline()))")
    assert (await carry_out(start_engine(guarded))).state is OperationState.SUCCEEDED
    everyone = psutil.Process().children(recursive=True)
    assert_secret(found.read_text() + "\n".join(map(command_line, everyone)))


def command_line(process: psutil.Process) -> str:
    """Of one that is just ending: nothing."""
    with suppress(psutil.NoSuchProcess):
        return str(process.cmdline())
    return ""


COMMAND = [sys.executable, "-c", "from migration_sidecar.cli import main; main()"]
OUR_ENV = "from migration_sidecar.environment import run\n\nrun(None)\n"
WAYS = ("the file", "the environment", "an option")


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_given_it_stays_with_whoever_gave_it(
    way: str, make_environment: MakeEnvironment, guarded_url: Any, database: Database, tmp_path: Path
) -> None:
    """Real commands, an environment that looks around, a revision that fails, a server that refuses the password."""
    environment = make_environment()
    if way == "the environment":  # which env.py as Alembic makes it does not read
        (environment.folder / "alembic" / "env.py").write_text(OUR_ENV)
    url = guarded_url(environment.url)
    found = tmp_path / "command lines"
    look = f"import psutil; open({str(found)!r}, 'a').write(str([p.cmdline() for p in psutil.Process().parents()[:1]]))"
    environment.revision("a1", look)
    environment.revision("a2", 'raise RuntimeError(f"cannot reach {op.get_bind().engine.url.password}")')
    refused = make_url(url).set(username="postgres").render_as_string(hide_password=False)
    told = ""
    for each in (url, refused):
        if way == "the file":
            environment.set_url(each)
        given = {"DATABASE_URL": each} if way == "the environment" else {}
        option = ["--database-url", each] if way == "an option" else []
        for command in (["status"], ["plan"], ["upgrade", "head"], ["upgrade", "head", "--json"], ["history"]):
            done = subprocess.run(
                [*COMMAND, *command, *option, "--config", str(environment.ini)],
                capture_output=True,
                text=True,
                env={**os.environ, **given},
                timeout=120,
                check=False,
            )
            told += done.stdout + done.stderr
    assert "CM-401" in told
    assert "CM-501" in told
    assert found.exists()
    assert_secret(told + found.read_text() + everything_stored(database))


def test_settings_do_not_show_it(guarded: Environment) -> None:
    assert_secret(repr(guarded.settings()) + str(guarded.settings()))
