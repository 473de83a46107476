"""The one client that the coordinator has, against servers that behave badly."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from coordinator.adapters.daprd import ANSWER_BYTES, AnswerTooLarge, DaprHttpClient
from coordinator.unavailable import SidecarUnreachable
from scripts.infrastructure import ports

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[DaprHttpClient]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(once, "127.0.0.1", 0)
    async with listening, DaprHttpClient(listening.sockets[0].getsockname()[1], "token") as sidecar:
        yield sidecar


def answering(head: str, body: str = "") -> tuple[Behaviour, list[str]]:
    seen: list[str] = []

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    return behaviour, seen


async def test_an_answer_is_status_content_and_mark() -> None:
    behaviour, seen = answering('200 OK\r\netag: "7"', '{"a": 1}')
    async with server(behaviour) as sidecar:
        reply = await sidecar.call(
            "POST", "/path", body={"b": "é"}, headers={"dapr-app-id": "x"}, parameters={"q": "1"}
        )
    assert (reply.status, reply.document(), reply.etag) == (200, {"a": 1}, '"7"')
    request = seen[0].lower()
    assert request.startswith("post /path?q=1 http/1.1")
    assert "dapr-app-id: x" in request
    assert "dapr-api-token: token" in request
    assert "content-type: application/json" in request


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    behaviour, seen = answering("307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/evil")
    async with server(behaviour) as sidecar:
        assert (await sidecar.call("GET", "/")).status == 307
    assert len(seen) == 1


async def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    behaviour, _ = answering("204 No Content")
    async with server(behaviour) as sidecar:
        assert (await sidecar.call("GET", "/")).status == 204


async def test_nobody_listening_is_an_unreachable_sidecar() -> None:
    async with DaprHttpClient(ports.choose(1)[0]) as sidecar:
        with pytest.raises(SidecarUnreachable):
            await sidecar.call("GET", "/")


async def test_a_connection_cut_in_the_middle_is_an_unreachable_sidecar() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()

    async with server(cut) as sidecar:
        with pytest.raises(SidecarUnreachable):
            await sidecar.call("POST", "/", body={})


async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as sidecar:
        with pytest.raises(TimeoutError):
            await sidecar.call("GET", "/", seconds=0.2)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Without a Content-Length, and for as long as anybody reads."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    with suppress(ConnectionError):
        while True:
            writer.write(b" " * 65536)
            await writer.drain()


async def test_an_answer_without_an_end_is_read_only_so_far() -> None:
    async with server(endless) as sidecar:
        with pytest.raises(AnswerTooLarge, match=str(ANSWER_BYTES)):
            await sidecar.call("GET", "/")
        with pytest.raises(AnswerTooLarge, match="1000"):
            await sidecar.call("GET", "/", most_bytes=1000)


async def test_an_answer_that_says_how_large_it_is_is_read_only_so_far_as_well() -> None:
    behaviour, _ = answering("200 OK", "x" * 100_001)
    async with server(behaviour) as sidecar:
        with pytest.raises(AnswerTooLarge):
            await sidecar.call("GET", "/", most_bytes=100_000)
        assert len((await sidecar.call("GET", "/", most_bytes=100_001)).content) == 100_001


async def test_a_compressed_answer_is_neither_asked_for_nor_unpacked() -> None:
    """A kilobyte of it could be a megabyte."""
    seen: list[bytes] = []
    packed = gzip.compress(b" " * 50_000_000)

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()

    async with server(behaviour) as sidecar:
        reply = await sidecar.call("GET", "/")
        assert reply.content == packed
        assert reply.document() is None
    assert b"accept-encoding: identity" in seen[0].lower()


async def test_a_refusal_without_an_end_is_read_only_so_far() -> None:
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n" + b" " * (ANSWER_BYTES + 1))
        with suppress(ConnectionError):
            await writer.drain()

    async with server(refusing) as sidecar:
        answer = await sidecar.open("/", "", headers={})
        with pytest.raises(AnswerTooLarge):
            await answer.whole()
