"""Started as root, no server that others can reach has root's rights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from scripts.infrastructure import ports
from scripts.infrastructure import postgres as postgres_module
from scripts.infrastructure.errors import NoServerUser
from scripts.infrastructure.postgres import Address, PostgresServer, binaries
from scripts.infrastructure.redis import RedisServer
from scripts.infrastructure.server_user import POSTGRES_USER, REDIS_USER
from scripts.infrastructure.supervise import Program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="not root: servers run as the user who starts them")


@pytest.fixture
def only_for_root(tmp_path: Path) -> Path:
    """A file that nobody but root may read, in a folder that only root may enter."""
    file = tmp_path / "secret"
    file.write_text("only for root")
    file.chmod(0o600)
    return file


def users_of(program: Program) -> set[int]:
    """The user ids of the server and of all its processes, as the kernel knows them."""
    process = program.process()
    assert process is not None
    numbers: set[int] = set()
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # some end by themselves meanwhile
            numbers |= {*each.uids(), *each.gids()}
    return numbers


def test_postgresql_gives_up_root_and_its_superuser_reads_no_file_of_roots(
    postgres: PostgresServer, only_for_root: Path
) -> None:
    assert users_of(postgres.program) == {POSTGRES_USER.number}
    with postgres.address.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE said (line text)")
        command = f"cat {only_for_root} 2>&1; cat /proc/1/environ > /dev/null 2>&1 && echo open; id -u; id -G"
        connection.execute(f"COPY said FROM PROGRAM '{command}'")
        said = [line for (line,) in connection.execute("SELECT line FROM said").fetchall()]
    assert said == [f"cat: {only_for_root}: Permission denied", *[str(POSTGRES_USER.number)] * 2]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", ports.choose(1)[0], dies_with_us=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_redis_gives_up_root_and_owns_its_data(broker: RedisServer) -> None:
    assert users_of(broker.program) == {REDIS_USER.number}
    process = broker.program.process()
    assert process is not None
    # No user of ours may move the folder (test_infrastructure_redis); here the kernel says who writes it.
    assert {path.lstat().st_uid for path in broker.data.rglob("*")} == {REDIS_USER.number}
    assert Path(f"/proc/{process.pid}/cwd").stat().st_uid == REDIS_USER.number


@pytest.fixture
def copies() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    with TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "programs"


def test_a_checkout_that_only_root_may_enter_is_no_obstacle(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one in a folder that mktemp has made. The server is started from a copy, which root owns."""
    monkeypatch.setattr(postgres_module, "POSTGRES_USER", replace(POSTGRES_USER, copies=copies))
    wheel = binaries().parents[1]
    for tree in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(tree, tmp_path / tree.name, symlinks=True)
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    programs = tmp_path / wheel.name / binaries().parent.name / "bin"
    server = PostgresServer(tmp_path / "server", address, durable=False, dies_with_us=True, programs=programs)
    try:
        server.start()
        server.start()  # finds it running, with the same command
        assert users_of(server.program) == {POSTGRES_USER.number}
        assert any(part.startswith(str(copies)) for part in server.program.command)
        assert {path.lstat().st_uid for path in copies.rglob("*")} == {0}
        assert not any(path.stat().st_mode & 0o022 for path in copies.rglob("*") if not path.is_symlink())
    finally:
        server.stop()


def test_a_program_that_only_root_can_reach_in_a_copy_too_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "POSTGRES_USER", replace(POSTGRES_USER, copies=tmp_path / "copies"))
    programs = tmp_path / "installation" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").write_text("#!/bin/sh\n")
    (programs / "postgres").chmod(0o755)
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    server = PostgresServer(tmp_path / "state", address, programs=programs)
    with pytest.raises(NoServerUser, match=r"Permission denied\. Start this as an ordinary user"):
        server.start()
    assert not server.directory.exists()


def test_data_that_an_earlier_release_left_to_root_is_given_to_the_server(tmp_path: Path) -> None:
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    earlier = PostgresServer(tmp_path, address, durable=False, dies_with_us=True, keeps_our_rights=True)
    now = PostgresServer(tmp_path, address, durable=False, dies_with_us=True)
    try:
        earlier.start()
        assert users_of(earlier.program) == {0}
        with address.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        earlier.stop()
        now.start()
        assert users_of(now.program) == {POSTGRES_USER.number}
        with address.connect() as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        now.stop()
    assert {path.lstat().st_uid for path in now.data.rglob("*")} == {POSTGRES_USER.number}
