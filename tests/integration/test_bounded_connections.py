"""A caller that opens connections and says nothing, or says it slowly, does not keep them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvicorn
import yaml

from migration_sidecar.http_server import bounded_connections
from migration_sidecar.http_server.bounded_connections import BoundedHttp
from scripts.infrastructure.settings import ROOT

SECONDS = 0.5
HEAD = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"
PART_OF_A_REQUEST = {"nothing": b"", "a line": b"GET / HTTP/1.1\r\n", "a head": HEAD, "half a body": HEAD + b"ab"}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads the body and takes twice as long for its answer as a request may take to arrive."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(2 * SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(bounded_connections, "REQUEST_SECONDS", SECONDS)
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, http=BoundedHttp, lifespan="off", log_config=None, access_log=False)  # type: ignore[arg-type]
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def connect(port: int, stack: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return reader, writer


async def is_closed(reader: asyncio.StreamReader, within: float) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), within) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("part", PART_OF_A_REQUEST)
async def test_a_request_that_does_not_arrive_in_time_loses_its_connection(port: int, part: str) -> None:
    async with AsyncExitStack() as stack:
        reader, writer = await connect(port, stack)
        writer.write(PART_OF_A_REQUEST[part])
        assert not await is_closed(reader, SECONDS / 2)
        assert await is_closed(reader, 5)


async def test_a_request_that_arrives_drop_by_drop_does_not_live_longer(port: int) -> None:
    async with AsyncExitStack() as stack:
        reader, writer = await connect(port, stack)
        closing = asyncio.create_task(is_closed(reader, 5))
        for drop in range(50):
            if closing.done():
                break
            writer.write(f"x-{drop}: y\r\n".encode() if drop else b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(SECONDS / 10)
        assert drop < 20
        assert await closing


async def test_an_answer_may_take_longer_and_the_connection_is_good_for_the_next_request(port: int) -> None:
    async with AsyncExitStack() as stack:
        reader, writer = await connect(port, stack)
        for _ in range(2):
            writer.write(HEAD + b"abcd")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_of_two_requests_at_once_the_second_is_timed_too(port: int) -> None:
    async with AsyncExitStack() as stack:
        reader, writer = await connect(port, stack)
        writer.write(HEAD + b"abcd" + HEAD + b"ab")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert await is_closed(reader, 3)


async def test_of_too_many_connections_the_last_are_closed(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bounded_connections, "most_connections", lambda: 5)
    monkeypatch.setattr(bounded_connections, "REQUEST_SECONDS", 60)
    async with AsyncExitStack() as stack:
        readers = [(await connect(port, stack))[0] for _ in range(8)]
        closed = [await is_closed(reader, SECONDS) for reader in readers]
        assert closed.count(True) == 3
    assert [record.getMessage() for record in caplog.records if "refused" in record.getMessage()] == [
        "connection_refused"
    ]
    await asyncio.sleep(SECONDS)
    async with AsyncExitStack() as stack:
        reader, writer = await connect(port, stack)
        writer.write(HEAD + b"abcd")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("files", "most"), [(128, 50), (1024, 824), (65_536, 2000), (-1, 2000)])
def test_there_are_fewer_where_few_files_may_be_open(files: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_connections.resource, "getrlimit", lambda _: (files, files))
    assert bounded_connections.most_connections() == most


def test_every_application_of_the_fleet_has_these_limits() -> None:
    common = yaml.safe_load((ROOT / "dapr.yaml").read_text())["common"]["env"]
    assert common["UVICORN_HTTP"] == f"{BoundedHttp.__module__}:{BoundedHttp.__name__}"
