"""Our own Redis answers nobody without a password, and gives nobody more than they need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey
from valkey.exceptions import NoPermissionError

from scripts.infrastructure import ports
from scripts.infrastructure.errors import CannotConnect, NotOurs
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.redis import RedisServer, answers, connect
from scripts.infrastructure.redis_access import BROKER, OPERATOR, topics
from scripts.infrastructure.settings import Settings

# Commands with which a user could read or write files of the server's owner, run code, or undo what was accepted.
POWERS = [
    *("CONFIG GET dir", "CONFIG SET dir /tmp", "CONFIG REWRITE", "MODULE LOAD /tmp/x.so", "DEBUG SLEEP 0"),
    *("SAVE", "BGSAVE", "EVAL return 0", "SCRIPT LOAD x", "FUNCTION LIST", "FCALL f 0", "ACL LIST", "ACL SETUSER x on"),
    *(
        "REPLICAOF no one",
        "FLUSHALL",
        "FLUSHDB",
        "SHUTDOWN NOSAVE",
        "MONITOR",
        "CLIENT LIST",
        "CLIENT KILL ID 1",
        "KEYS *",
        "DEL x",
    ),
    *("SET x 1", "GET x", "RESTORE x 0 y", "MIGRATE 127.0.0.1 1 x 0 1", "PUBLISH x y", "SUBSCRIBE x"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis"))


def running(directory: Path) -> Iterator[RedisServer]:
    server = RedisServer(directory, ports.choose(1)[0], dies_with_us=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_nobody_is_answered_without_a_password(server: RedisServer) -> None:
    with connect(ports.LOOPBACK, server.port) as client, pytest.raises(valkey.AuthenticationError):
        client.ping()


@pytest.mark.parametrize("user", ["default", BROKER, OPERATOR, "root"])
def test_a_wrong_password_is_refused(server: RedisServer, user: str) -> None:
    with connect(ports.LOOPBACK, server.port, user, "wrong") as client, pytest.raises(valkey.AuthenticationError):
        client.ping()


@pytest.mark.parametrize("command", POWERS)
@pytest.mark.parametrize("user", [BROKER, OPERATOR])
def test_no_user_may_change_the_server_or_run_code_in_it(server: RedisServer, user: str, command: str) -> None:
    refused = "no permissions|not allowed"
    with server.client(user) as client, pytest.raises(valkey.ResponseError, match=refused):
        client.execute_command(*command.split())


def test_the_broker_uses_the_topics_of_the_component_and_no_other_stream(server: RedisServer) -> None:
    assert topics() == ["migrate.command", "migrate.events", "migrate.requested", "migrate.requested.dead"]
    with server.client(BROKER) as client:
        for topic in topics():
            client.xadd(topic, {"data": "1"})
        with pytest.raises(NoPermissionError):
            client.xadd("another", {"data": "1"})
        with pytest.raises(NoPermissionError):
            client.xrange("migrate.requested")


def test_the_operator_reads_events_and_removes_some_but_adds_none(server: RedisServer) -> None:
    with server.client(BROKER) as broker:
        event = broker.xadd("migrate.requested.dead", {"data": "1"})
    with server.client() as client:
        assert (event, {b"data": b"1"}) in client.xrange("migrate.requested.dead")
        assert client.xdel("migrate.requested.dead", event) == 1
        with pytest.raises(NoPermissionError):
            client.xadd("migrate.requested", {"data": "1"})


def test_a_full_memory_refuses_an_event_and_forgets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.infrastructure.redis.MOST_MEMORY", "3mb")
    for server in running(tmp_path / "small"):
        accepted: list[Any] = []
        with server.client(BROKER) as broker, pytest.raises(valkey.OutOfMemoryError):
            fill(broker, accepted)
        with server.client() as client:
            assert client.xlen("migrate.requested") == len(accepted) > 0
            client.xtrim("migrate.requested", maxlen=1, approximate=False)
        with server.client(BROKER) as broker:
            broker.xadd("migrate.requested", {"data": "there is room again"})


def fill(broker: valkey.Valkey, accepted: list[Any]) -> None:
    for _ in range(100):
        accepted.append(broker.xadd("migrate.requested", {"data": "x" * 100_000}))


def test_the_passwords_are_kept_and_dapr_is_told_the_brokers(server: RedisServer) -> None:
    before = {user: server.access.password(user) for user in (BROKER, OPERATOR)}
    server.start()
    assert {user: server.access.password(user) for user in (BROKER, OPERATOR)} == before
    told = {"username": BROKER, "password": before[BROKER]}
    assert json.loads(server.access.of_dapr.read_text()) == told
    assert not [word for word in before.values() if word in server.access.configuration.read_text()]


def test_requests_that_an_older_redis_kept_are_still_delivered(tmp_path: Path) -> None:
    """As Redis 6.2.14 wrote them: five events, of which one was acknowledged and one is under way."""
    (tmp_path / "redis" / "data").mkdir(parents=True)
    stream, group = "migrate.requested", "migration-coordinator"
    ids = [f"179599563123{number}-0" for number in range(5)]
    claim = ("0", "{}", "TIME", "1795995631252", "RETRYCOUNT", "1", "FORCE", "JUSTID", "LASTID", "{}")
    commands = [
        ("SELECT", "0"),
        ("XGROUP", "CREATE", stream, group, "0", "MKSTREAM"),
        *(("XADD", stream, "MAXLEN", "=", str(number + 1), each, "data", "{}") for number, each in enumerate(ids)),
        *(("XCLAIM", stream, group, group, *(word.format(each) for word in claim)) for each in ids[:2]),
        ("XACK", stream, group, ids[0]),
    ]
    (tmp_path / "redis" / "data" / "appendonly.aof").write_text("".join(map(_as_stored, commands)), newline="")
    for server in running(tmp_path / "redis"):
        with server.client() as client:
            assert client.xlen(stream) == 5
            [under_way] = client.xpending_range(stream, group, "-", "+", 9)
            assert under_way["message_id"].decode() == ids[1]
        with server.client(BROKER) as broker:
            [[_, events]] = broker.xreadgroup(group, group, {stream: ">"})
            assert [name.decode() for name, _ in events] == ids[2:]


def _as_stored(command: tuple[str, ...]) -> str:
    return f"*{len(command)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in command)


def test_a_server_of_somebody_else_is_not_taken_for_ours(server: RedisServer, tmp_path: Path) -> None:
    impostor = RedisServer(tmp_path / "redis", server.port)
    for user in (BROKER, OPERATOR):
        file = impostor.access.directory / f"{user}-password"
        file.parent.mkdir(exist_ok=True)
        file.write_text(server.access.password(user))
    with pytest.raises(NotOurs):
        impostor.prove_ours()


def test_a_named_server_is_used_with_the_password_that_is_given(server: RedisServer, tmp_path: Path) -> None:
    named = {"REDIS_HOST": f"{ports.LOOPBACK}:{server.port}", "RMBRAIN_STATE_DIR": str(tmp_path)}
    password = server.access.password(BROKER)
    as_broker = named | {"REDIS_USERNAME": BROKER, "REDIS_PASSWORD": password}
    Infrastructure(Settings.from_environment(as_broker))._redis_up()
    told = json.loads((tmp_path / "redis" / "dapr.json").read_text())
    assert told == {"username": BROKER, "password": password}
    with pytest.raises(CannotConnect, match="REDIS_HOST, _PORT, _USERNAME and _PASSWORD"):
        Infrastructure(Settings.from_environment(named | {"REDIS_PASSWORD": "wrong"}))._redis_up()
    assert not answers(ports.LOOPBACK, server.port)
