"""The scripts as a user calls them, against a server of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from scripts.infrastructure import ports
from scripts.infrastructure.catalog import members
from scripts.infrastructure.errors import RunsOtherwise
from scripts.infrastructure.leftovers import leftovers
from scripts.infrastructure.postgres import Address, PostgresServer
from scripts.infrastructure.settings import ROOT
from scripts.infrastructure.supervise import Program


def run(script: str, *arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Where `scripts/infra up` would have put it under a state directory of its own."""
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    directory = tmp_path_factory.mktemp("state") / "postgres"
    started = PostgresServer(directory, address, durable=False, dies_with_us=True)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def environment(server: PostgresServer) -> dict[str, str]:
    return {"POSTGRES_PORT": str(server.address.port), "RMBRAIN_STATE_DIR": str(server.directory.parent)}


def databases(server: PostgresServer) -> set[str]:
    with server.address.connect() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}


def owners(server: PostgresServer) -> dict[str, str]:
    with server.address.connect() as connection:
        rows = connection.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database").fetchall()
    return {name: owner for name, owner in rows if name in EXPECTED}


EXPECTED = {member.database for member in members()}


def test_a_second_set_up_says_nothing_and_does_nothing(tmp_path: Path) -> None:
    assert run("setup").returncode == 0
    mark = ROOT / ".venv" / ".set-up"
    before = mark.stat().st_mtime_ns
    again = run("setup", folder=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert mark.stat().st_mtime_ns == before  # it is written at the end of a set-up


def test_no_database_is_made_on_a_server_that_nobody_named(server: PostgresServer, tmp_path: Path) -> None:
    stranger = environment(server) | {"RMBRAIN_STATE_DIR": str(tmp_path)}
    refused = run("setup_databases.sh", **stranger)
    assert refused.returncode == 3
    assert "was not started by ./scripts/infra up, so nothing is created on it" in refused.stderr
    assert not databases(server) & EXPECTED


def test_a_server_that_does_not_answer_is_reported_with_the_ways_out(tmp_path: Path) -> None:
    nowhere = run("setup_databases.sh", POSTGRES_PORT=str(ports.choose(1)[0]), RMBRAIN_STATE_DIR=str(tmp_path))
    assert nowhere.returncode == 3
    assert "Start ours with ./scripts/infra up, or name yours: export POSTGRES_HOST=" in nowhere.stderr


def test_databases_are_created_once_and_skipped_afterwards(server: PostgresServer, tmp_path: Path) -> None:
    first = run("setup_databases.sh", folder=tmp_path, **environment(server))
    assert (first.returncode, first.stderr) == (0, "")
    assert "9 created, 0 there already, 0 failed" in first.stdout
    assert databases(server) >= EXPECTED
    assert owners(server) == {name: name for name in EXPECTED}
    second = run("setup_databases.sh", **environment(server))
    assert second.returncode == 0
    assert "0 created, 9 there already, 0 failed" in second.stdout


def test_a_database_that_cannot_be_created_is_in_the_report_and_in_the_exit_code(server: PostgresServer) -> None:
    with server.address.connect() as connection:
        connection.execute("CREATE ROLE modest LOGIN PASSWORD 'modest'")
        connection.execute("GRANT CONNECT ON DATABASE postgres TO modest")
        connection.execute("DROP DATABASE IF EXISTS cds_task")
    modest = environment(server) | {"POSTGRES_USER": "modest", "POSTGRES_PASSWORD": "modest"}
    refused = run("setup_databases.sh", **modest, POSTGRES_HOST=ports.LOOPBACK)
    assert refused.returncode == 1
    assert "cds_task (cds-task): createdb: error" in refused.stderr
    assert "1 failed" in refused.stdout


def test_colour_is_for_terminals_and_for_who_asks(server: PostgresServer) -> None:
    assert "\x1b[" not in run("setup_databases.sh", **environment(server)).stdout
    assert "\x1b[3" in run("setup_databases.sh", **environment(server), FORCE_COLOR="1").stdout


def test_infra_refuses_a_port_that_is_none_with_a_sentence() -> None:
    refused = run("infra", "status", POSTGRES_PORT="five")
    assert refused.returncode == 3
    assert refused.stderr == "POSTGRES_PORT=five is not a port: give a number from 1 to 65535, or unset it.\n"


def test_reset_without_a_yes_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    answer = run("infra", "reset", RMBRAIN_STATE_DIR=str(tmp_path))
    assert answer.returncode == 2
    assert "Nothing was deleted" in answer.stdout
    assert (tmp_path / "postgres" / "data").is_dir()


def started_elsewhere(program: Program) -> psutil.Process:
    """By a process that has ended since, so that nobody but the kernel has to see it go."""
    start = "import sys, pathlib; from scripts.infrastructure.supervise import Program"
    call = "Program(sys.argv[1], sys.argv[3:], pathlib.Path(sys.argv[2])).start()"
    words = [program.name, str(program.directory), *program.command]
    subprocess.run([sys.executable, "-c", f"{start}; {call}", *words], cwd=ROOT, check=True)
    process = program.process()
    assert process is not None
    return process


@pytest.mark.parametrize("command", [("stop",), ("infra", "down", "--yes")])
def test_stopping_is_finished_also_when_nobody_reads_what_it_says(tmp_path: Path, command: tuple[str, ...]) -> None:
    """As in `./scripts/stop | head -3`, only that here the reader is gone from the first line on."""
    servers = [Program(name, ("sleep", "60"), tmp_path / name) for name in ("postgres", "redis")]
    for server in servers:
        started_elsewhere(server)
    reader, writer = os.pipe()
    os.close(reader)
    script, *arguments = command
    state = {**os.environ, "RMBRAIN_STATE_DIR": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "scripts" / script, *arguments], stdout=writer, stderr=subprocess.PIPE, env=state, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    # Whoever has to wait for one that has ended may do so later: it is nobody's business here.
    assert [server.process() for server in servers] == [None, None]


def test_what_a_test_left_running_is_found_by_its_folder(tmp_path: Path) -> None:
    program = Program("sleeper", ("sleep", "60"), tmp_path, environment={"TMPDIR": str(tmp_path)})
    process = program.start()
    assert process in leftovers(str(tmp_path))
    program.stop()
    assert leftovers(str(tmp_path)) == []


def test_a_server_started_on_another_port_before_is_not_silently_reused(server: PostgresServer) -> None:
    moved = replace(server, address=replace(server.address, port=ports.choose(1)[0]))
    with pytest.raises(
        RunsOtherwise, match=rf"port={server.address.port}\) than asked for \(port={moved.address.port}\)"
    ):
        moved.start()
