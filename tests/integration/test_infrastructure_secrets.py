"""What lies about: environments, modes of files, the server's log, and the password of the user's own server."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from scripts.infrastructure import ports, private
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.postgres import Address, PostgresServer
from scripts.infrastructure.redis import RedisServer
from scripts.infrastructure.render import Rendering, render_fleet
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.supervise import Program

CANARIES = {
    "POSTGRES_PASSWORD": "CnrySuper1",
    "PGPASSWORD": "CnryClient2",
    "DATABASE_URL": "postgresql://u:CnryUrl3@localhost/x",
    "AWS_SECRET_ACCESS_KEY": "CnryCloud4",
    "SOME_NAME_THAT_NOBODY_KNOWS": "Cnry5",
}
WORDS = ("CnrySuper1", "CnryClient2", "CnryUrl3", "CnryCloud4", "Cnry5")
ODD = (
    "p:w",
    "back\\slash",
    "two\\\\",
    "100%41",
    "in between",
    "at the end ",
    " #first",
    "@/?&=",
    "ü€",
    "\\:\\",
    "'\"$`",
)
ASK = """
import asyncio, asyncpg, os, psycopg
psycopg.connect(os.environ["DATABASE_URL"]).close()
async def ask(): await (await asyncpg.connect(os.environ["DATABASE_URL"])).close()
asyncio.run(ask())
print(open("/proc/self/environ").read() + open("/proc/self/cmdline").read())
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the `export POSTGRES_PASSWORD=…` of the guide, in a shell that has other secrets too."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def servers(tmp_path: Path, shell: None, open_umask: None) -> Iterator[list[PostgresServer | RedisServer]]:
    numbers = ports.choose(2)
    address = Address(ports.LOOPBACK, numbers[0], password="CnrySuper1")
    started: list[PostgresServer | RedisServer] = [
        PostgresServer(tmp_path / "postgres", address, durable=False, dies_with_us=True),
        RedisServer(tmp_path / "redis", numbers[1], dies_with_us=True),
    ]
    try:
        for server in started:
            server.start()
        yield started
    finally:
        for server in started:
            server.stop()


def shown_by(process: psutil.Process) -> str:
    """What `ps` and /proc say of it and of all it started."""
    family = [process, *process.children(recursive=True)]
    return "".join(Path(f"/proc/{each.pid}/{what}").read_text() for each in family for what in ("environ", "cmdline"))


def environment_of(program: Program) -> dict[str, str]:
    """For a moment after exec the kernel shows none."""
    process = program.process()
    assert process is not None
    program.wait_until(lambda: bool(process.environ()), "its environment")
    return process.environ()


def open_to_others(folder: Path) -> list[str]:
    """Symbolic links have no mode of their own."""
    found = [each for each in (folder, *folder.rglob("*")) if not each.is_symlink()]
    return [f"{each} {stat.filemode(each.lstat().st_mode)}" for each in found if each.lstat().st_mode & 0o077]


def test_no_server_holds_a_secret_of_the_shell(servers: list[PostgresServer | RedisServer]) -> None:
    for server in servers:
        process = server.program.process()
        assert process is not None
        shown = shown_by(process)
        assert not [word for word in WORDS if word in shown]


def test_a_program_gets_what_any_program_needs_and_nothing_else(tmp_path: Path, shell: None) -> None:
    program = Program("sleeper", ("sleep", "60"), tmp_path, environment={"OWN": "value"})
    try:
        program.start()
        environment = environment_of(program)
    finally:
        program.stop()
    assert {"PATH", "OWN"} <= environment.keys()
    assert not environment.keys() & CANARIES.keys()


def test_a_server_leaves_nothing_that_others_may_read(
    servers: list[PostgresServer | RedisServer], tmp_path: Path
) -> None:
    """Whatever umask the shell has."""
    for server in servers:
        assert server.program.log.exists()
        assert open_to_others(server.directory) == []


def test_the_log_of_the_server_has_neither_statements_nor_rows(servers: list[PostgresServer | RedisServer]) -> None:
    server = servers[0]
    assert isinstance(server, PostgresServer)
    with server.address.connect() as connection:
        connection.execute("CREATE TABLE t (a text PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES ('CnryRow6')")
        for statement in (
            "ALTER ROLE nobody_has_this PASSWORD 'CnryRole7'",
            "INSERT INTO t VALUES ('CnryRow6')",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE nobody_has_this PASSWORD ''CnryRole8'''; END $$",
        ):
            with suppress(psycopg.Error):
                connection.execute(statement)
    log = server.program.log.read_text()
    assert "nobody_has_this" in log  # the error itself is there
    assert "Cnry" not in log


def test_what_an_earlier_start_left_open_is_closed(tmp_path: Path, open_umask: None) -> None:
    state = tmp_path / "state"
    for name in (
        "redis/data/appendonly.aof",
        "postgres/postgres.log",
        "dapr-run.log.previous",
        "audit-until-1/key.pem",
    ):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("a secret")
    (state / "audit").symlink_to("/usr")
    private.tighten_state(state, whole=False)
    assert open_to_others(state) == []
    assert stat.S_IMODE(Path("/usr").stat().st_mode) == 0o755


def test_who_had_a_file_of_an_earlier_start_open_reads_nothing_of_the_next(tmp_path: Path, open_umask: None) -> None:
    """A mode is asked for when a file is opened, and never again."""
    for name, kind in (("plain", "file"), ("linked", "hard link"), ("symbolic", "symbolic link")):
        file, elsewhere = tmp_path / name, tmp_path / f"{name}-elsewhere"
        elsewhere.write_text("of an earlier start")
        if kind == "hard link":
            file.hardlink_to(elsewhere)
        elif kind == "symbolic link":
            file.symlink_to(elsewhere)
        else:
            elsewhere.rename(file)
        with file.open() as opened_before:
            private.write(file, "a secret")
            assert opened_before.read() == "of an earlier start"
        assert file.read_text() == "a secret"
        assert not elsewhere.exists() or elsewhere.read_text() == "of an earlier start"
        assert stat.S_IMODE(file.lstat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_state_directory_that_is_also_the_users_own_keeps_its_other_files_as_they_are(
    tmp_path: Path, open_umask: None
) -> None:
    (tmp_path / "public_html").mkdir()
    (tmp_path / "redis").mkdir()
    private.tighten_state(tmp_path, whole=False)
    assert open_to_others(tmp_path / "redis") == []
    assert stat.S_IMODE((tmp_path / "public_html").stat().st_mode) == 0o755


@pytest.fixture
def launched(tmp_path: Path, shell: None, open_umask: None) -> Iterator[Fleet]:
    """A fleet whose launcher only waits; what it is given is what `dapr run` would give to all that it starts."""
    settings = replace(Settings(), state=tmp_path / "state", dapr=tmp_path)
    (tmp_path / "dapr").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "dapr").chmod(0o755)
    rendering = Rendering(settings, root=tmp_path, free_ports=True)
    fleet = Fleet(settings, render_fleet(tmp_path / "fleet", rendering), {"MIGRATE_ON_STARTUP": "check"})
    yield fleet
    fleet.stop()


def test_the_fleet_gets_its_settings_and_no_secret_of_the_shell(
    launched: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "COORDINATOR_SWEEP_EVERY": "PT5S",
        "AUDIT_ANCHOR_EVENTS": "7",
        "APP_API_TOKEN": "app",
        "DAPR_API_TOKEN": "dapr",
        "https_proxy": "http://proxy:3128",
        "TZ": "Europe/Zurich",
        "LC_ALL": "C.UTF-8",
        "ACME_REGION": "eu",
        "RMBRAIN_PASS": "ACME_REGION",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    launched.start()
    environment = environment_of(launched.program)
    assert not [word for word in WORDS if word in str(environment)]
    del given["RMBRAIN_PASS"]
    assert given | {"MIGRATE_ON_STARTUP": "check", "DAPR_HOST_IP": ports.LOOPBACK} == {
        name: environment.get(name) for name in (*given, "MIGRATE_ON_STARTUP", "DAPR_HOST_IP")
    }


def test_the_folder_of_daprs_logs_and_names_is_closed_before_the_fleet_starts(launched: Fleet, tmp_path: Path) -> None:
    (tmp_path / ".dapr" / "logs").mkdir(parents=True)
    (tmp_path / ".dapr" / "names.db").touch()
    launched.start()
    assert open_to_others(tmp_path / ".dapr") == []
    assert open_to_others(tmp_path / "state") == []


@pytest.mark.parametrize("password", ODD)
def test_an_application_reaches_its_database_with_any_password_and_shows_it_nowhere(
    postgres: PostgresServer, tmp_path: Path, password: str
) -> None:
    """By both drivers; asyncpg reads a passfile of libpq differently where a `:` or a backslash is in it."""
    with postgres.address.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS odd")
        connection.execute(sql.SQL("CREATE ROLE odd LOGIN PASSWORD {}").format(sql.Literal(password)))
    (tmp_path / "password").write_text(password)
    (tmp_path / "asking.py").write_text(ASK)
    url = f"postgresql://odd@{postgres.address.host}:{postgres.address.port}/postgres"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.infrastructure.with_password", str(tmp_path / "password"), "asking"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{ROOT}", "DATABASE_URL": url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert url in done.stdout
    assert password not in done.stdout
