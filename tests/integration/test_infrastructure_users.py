"""Started as root, no server that others can reach has root's rights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer
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


def test_redis_gives_up_root_and_writes_into_no_folder_of_roots(broker: RedisServer, tmp_path: Path) -> None:
    assert users_of(broker.program) == {REDIS_USER.number}
    with redis.Redis(ports.LOOPBACK, broker.port) as client:
        client.set("key", "value")
        assert client.bgrewriteaof()
        with pytest.raises(redis.ResponseError, match="Permission denied"):
            client.config_set("dir", str(tmp_path))


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
