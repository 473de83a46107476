"""Every history, database and configuration that cannot be migrated: one sentence with a code through every door.

The rows are B10 to B13, B19, B20, B24, B25 and B29 of the table of bad input; `B13 …` as a name says which.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

import migration_sidecar.engine.engine
from migration_sidecar.api.app import make_app
from migration_sidecar.cli import app
from migration_sidecar.contract.errors import Misconfigured
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, rows

CANARY = "Kan4rie%40'\"x"


@dataclass
class Ground:
    """What a row may spoil, and what it made that has to go afterwards."""

    environment: Environment
    database: Database
    postgres: PostgresServer
    leftovers: ExitStack

    def write(self, text: str, name: str = "b1.py") -> None:
        (self.environment.versions / name).write_text(text)

    def execute(self, *statements: str) -> None:
        with self.database.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def send_to(self, **parts: Any) -> None:
        url = make_url(self.environment.url).set(**parts)
        self.environment.set_url(url.render_as_string(hide_password=False))

    def as_role(self, options: str = "", *, grants: str = "") -> None:
        """Connects as a role of its own, whose password must never be seen."""
        name = sql.Identifier("bad_input")
        with self.postgres.address.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + options).format(name, sql.Literal(CANARY)))
        self.leftovers.callback(self._drop_role)
        for statement in filter(None, grants.split(";")):
            self.execute(statement)
        self.send_to(username="bad_input", password=CANARY)

    def _drop_role(self) -> None:
        self.execute("DROP OWNED BY bad_input")
        with self.postgres.address.connect() as connection:
            connection.execute("DROP ROLE bad_input")

    def silent_port(self) -> int:
        """Takes connections and never answers."""
        listener = self.leftovers.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        port: int = listener.getsockname()[1]
        return port


def makes_old_table(ground: Ground) -> None:
    """One that a revision makes, too."""
    made = "CREATE TABLE t_old (id int)"
    ground.environment.revision("b1", f"op.execute({made!r})")
    ground.execute(made)


def version_table(ground: Ground, *revisions: str) -> None:
    ground.execute("CREATE TABLE alembic_version (version_num varchar(32))")
    for revision in revisions:
        ground.execute(f"INSERT INTO alembic_version VALUES ('{revision}')")


def two_heads(ground: Ground) -> None:
    ground.environment.revision("b1", below="a1")
    ground.environment.revision("b2", below="a1")


def circle(ground: Ground) -> None:
    ground.environment.revision("a1", below="a3")
    ground.environment.revision("a2", below="a1")
    ground.environment.revision("a3", below="a2")


def compiled_only(ground: Ground) -> None:
    for file in ground.environment.versions.glob("*.py"):
        file.rename(file.with_suffix(".pyc"))


def move_away(ground: Ground, name: str) -> None:
    path = ground.environment.folder / "alembic" / name
    path.rename(path.with_name("elsewhere"))


# name: (what is spoilt, the code, words of the sentence)
BAD: dict[str, tuple[Callable[[Ground], Any], str, str]] = {
    "B10 two heads": (two_heads, "CM-301", "b1 (b1.py), b2 (b2.py)"),
    "B10 two roots": (lambda g: g.environment.revision("b1", below=None), "CM-301", "a1 (a1.py), b1 (b1.py)"),
    "B11 circle": (circle, "CM-302", "a1 (a1.py:6)"),
    "B11 missing": (lambda g: g.environment.revision("b1", below="gone0001"), "CM-302", "b1.py:6"),
    "B11 depends on nothing": (
        lambda g: g.environment.revision("b1", depends_on="gone0001"),
        "CM-302",
        "depends_on 'gone0001'",
    ),
    "B11 twice": (
        lambda g: g.write((g.environment.versions / "a1.py").read_text(), "copy.py"),
        "CM-302",
        "a1.py:5 and copy.py:5",
    ),
    "B11 too long": (
        lambda g: g.environment.revision("b" * 33),
        "CM-302",
        "33 characters; the version column holds 32",
    ),
    "B11 a quote": (lambda g: g.write("revision = \"b'1\"\ndown_revision = 'a1'\n"), "CM-302", "b1.py:1"),
    "B11 itself": (lambda g: g.environment.revision("b1", below="b1"), "CM-302", "b1.py builds on itself"),
    "B12 no folder": (lambda g: move_away(g, "../alembic"), "CM-303", "script_location that is not there"),
    "B12 no env.py": (lambda g: move_away(g, "env.py"), "CM-303", "alembic/env.py is not there"),
    "B12 no versions": (lambda g: move_away(g, "versions"), "CM-303", "alembic/versions is not there"),
    "B12 empty versions": (lambda g: (g.environment.versions / "a1.py").unlink(), "CM-303", "holds no revision"),
    "B12 a stray file": (lambda g: g.write("x = 1\n", "notes.py"), "CM-303", "notes.py"),
    "B12 compiled only": (compiled_only, "CM-303", "sourceless is off"),
    "B13 a syntax error": (lambda g: g.write("def upgrade(:\n"), "CM-304", "b1.py:1"),
    "B13 an import": (
        lambda g: g.write("\nimport not_installed_here\n"),
        "CM-304",
        "b1.py:2: it imports not_installed",
    ),
    "B13 an exit": (lambda g: g.write("import sys\nsys.exit()\n"), "CM-304", "b1.py:2: it raised SystemExit"),
    "B13 an error": (lambda g: g.write(f"raise OSError({CANARY!r}, '/etc/passwd')\n"), "CM-304", "b1.py:1"),
    "B13 env.py": (
        lambda g: (g.environment.versions.parent / "env.py").write_text("x = = 1\n"),
        "CM-304",
        "env.py:1",
    ),
    "a concurrent index": (
        lambda g: g.environment.revision("b1", 'op.execute("CREATE INDEX CONCURRENTLY i ON t_a1 (id)")'),
        "CM-305",
        "b1.py:12",
    ),
    "an offline revision": (
        lambda g: g.environment.revision("b1", "if not op.get_context().as_sql:\n    raise RuntimeError()"),
        "CM-307",
        "b1.py:12",
    ),
    "no upgrade at all": (
        lambda g: g.write("revision = 'b1'\ndown_revision = 'a1'\n"),
        "CM-302",
        "b1.py has no upgrade",
    ),
    "B19 password": (
        lambda g: g.as_role() or g.send_to(username="bad_input", password=CANARY + "!"),
        "CM-501",
        "user bad_input",
    ),
    "B19 expired": (lambda g: g.as_role("VALID UNTIL '2001-01-01'"), "CM-501", "user bad_input"),
    "B19 may not connect": (
        lambda g: g.as_role() or g.execute(f"REVOKE CONNECT ON DATABASE {g.database.name} FROM PUBLIC"),
        "CM-504",
        "bad_input",
    ),
    "B19 may not create": (lambda g: g.as_role(), "CM-504", ""),
    "B20 no database": (lambda g: g.send_to(database="nowhere"), "CM-511", "nowhere"),
    "B20 no host": (lambda g: g.send_to(host="nowhere.invalid"), "CM-513", "nowhere.invalid"),
    "B20 closed port": (lambda g: g.send_to(port=9), "CM-513", ":9"),
    "B20 black hole": (lambda g: g.send_to(port=g.silent_port()), "CM-513", "within 4 s"),
    "B24 unknown revision": (lambda g: version_table(g, "z9"), "CM-552", "at z9, this image knows up to a1"),
    "B25 tables only": (lambda g: makes_old_table(g), "CM-552", "revision b1 makes it"),
    "B25 empty version table": (
        lambda g: makes_old_table(g) or version_table(g),
        "CM-552",
        "revision b1 makes it",
    ),
    "B25 two rows": (
        lambda g: g.environment.revision("b1") and version_table(g, "a1", "b1"),
        "CM-552",
        "a1, b1, and that includes a1 twice",
    ),
    "B25 one row twice": (lambda g: version_table(g, "a1", "a1"), "CM-552", "includes a1 twice"),
    "B25 another's table": (
        lambda g: g.execute("CREATE TABLE alembic_version (id int)"),
        "CM-552",
        "no column version_num",
    ),
}
UNTOUCHED = "SELECT to_regclass('t_a1'), to_regclass('migration_sidecar.journal')"


@pytest.fixture
def ground(environment: Environment, database: Database, postgres: PostgresServer) -> Iterator[Ground]:
    environment.revision("a1")
    with ExitStack() as leftovers:
        yield Ground(environment, database, postgres, leftovers)


@pytest.fixture
def shared(shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)


def problems(answer: Any) -> list[dict[str, Any]]:
    """Every problem document in an answer."""
    if isinstance(answer, list):
        return [problem for each in answer for problem in problems(each)]
    if not isinstance(answer, dict):
        return []
    here = [answer] if "next_step" in answer else []
    return here + [problem for each in answer.values() for problem in problems(each)]


def require_sentence(answer: Any, code: str, words: str) -> None:
    first = problems(answer)[0]
    assert first["code"] == code, answer
    assert words in first["detail"], first
    assert len(first["next_step"]) > 10


def require_discreet(text: str, ground: Ground) -> None:
    """No path, address, password or traceback."""
    text = text.replace("postgresql://user:password@host:5432/database", "an example")
    for secret in (str(ground.environment.folder), "://", CANARY, "%25", "postgres:postgres", "Traceback", "/etc/"):
        assert secret not in text, text


async def asked_at_the_endpoint(ground: Ground) -> list[httpx.Response]:
    application = make_app(ground.environment.ini, settings=ground.environment.settings(MIGRATE_ON_STARTUP="off"))
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
    ):
        body = {"operation_id": "op-1", "target": "head"}
        return [
            await client.get("/migrations"),
            await client.get("/migrations/plan"),
            await client.post("/migrations/operations?wait_seconds=20", json=body),
        ]


@pytest.mark.parametrize("name", sorted(BAD))
async def test_every_bad_input_has_its_code_and_sentence_at_the_endpoint(
    name: str, ground: Ground, shared: None
) -> None:
    spoil, code, words = BAD[name]
    spoil(ground)
    status, plan, operation = await asked_at_the_endpoint(ground)
    assert status.status_code == 200  # the status never breaks
    for response in (plan, operation):
        require_sentence(response.json(), code, words)
    if code not in ("CM-301", "CM-305", "CM-307", "CM-504") and "long" not in name and "no upgrade" not in name:
        require_sentence(status.json(), code, words)
    for response in (status, plan, operation):
        require_discreet(response.text, ground)
    assert rows(ground.database, "SELECT to_regclass('t_a1')") == [(None,)]


@pytest.mark.parametrize("name", BAD)
def test_every_bad_input_has_its_code_and_sentence_on_the_command_line(name: str, ground: Ground, shared: None) -> None:
    spoil, code, words = BAD[name]
    spoil(ground)
    shown = CliRunner().invoke(app, ["upgrade", "--config", str(ground.environment.ini), "--json"])
    assert shown.exit_code in (1, 2, 3)
    require_sentence(json.loads(shown.stdout), code, words)
    require_discreet(shown.output, ground)
    assert rows(ground.database, "SELECT to_regclass('t_a1')") == [(None,)]


CONFIGURATION = {
    "B29 % in the file": ("sqlalchemy.url = postgresql://u:Kan4rie%40@h/d", "", "sqlalchemy.url"),
    "B29 no address": ("sqlalchemy.url = Kan4rie", "", "sqlalchemy.url"),
    "B29 another kind of database": ("sqlalchemy.url = mysql://u:Kan4rie@h/d", "", "env.py"),
    "B29 unknown key": ("", "no_such_key = Kan4rie", "no_such_key"),
    "B29 no number": ("", "patience_seconds = Kan4rie", "patience_seconds"),
    "B29 a bad name for the journal": ("", "journal_table = Kan4rie'; drop", "journal_table"),
}


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_configuration_that_cannot_be_used_is_refused_by_its_key_and_never_by_its_value(
    name: str, ground: Ground, shared: None
) -> None:
    url, entry, key = CONFIGURATION[name]
    ini = ground.environment.ini
    text = ini.read_text()
    if url:
        text = "\n".join(url if line.startswith("sqlalchemy.url") else line for line in text.splitlines())
    ini.write_text(f"{text}\n{entry}\n")
    shown = CliRunner().invoke(app, ["upgrade", "--config", str(ini), "--json"])
    assert shown.exit_code == 2, shown.output
    require_sentence(json.loads(shown.stdout), "CM-701", key)
    require_discreet(shown.output, ground)
    assert "Kan4rie" not in shown.output
    if entry:
        with pytest.raises(Misconfigured) as refused:
            ground.environment.settings()
        assert "Kan4rie" not in str(refused.value)
