"""The keys of an issuer from a real HTTP server, which answers well, badly, slowly, or not at all."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest

from coordinator.adapters import jwks_sources
from coordinator.adapters.jwks import LONGEST_SET, BadJwks
from coordinator.adapters.jwks_sources import PAUSE_SECONDS, FetchedKeys, fetch_jwks
from coordinator.adapters.oidc_tokens import OidcTokens
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from tests.unit.coordinator.token_issuer import ISSUER, PROVIDER, SUBJECT, jwks, token

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Issuer:
    """A server on this machine; `answer` is what it does with the next request."""

    answer: Answer
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    state = Issuer(well(jwks("ed-1")))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            with suppress(OSError):  # the other end hangs up, as it should
                state.answer(self)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        server.shutdown()


def well(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def without_end(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def drop_by_drop(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


async def test_a_token_is_verified_with_keys_that_were_fetched_and_later_with_new_ones(issuer: Issuer) -> None:
    now = [1000.0]
    tokens = OidcTokens(PROVIDER, FetchedKeys(issuer.address, lambda: now[0]))
    assert await tokens.verify(token()) == (ISSUER, SUBJECT)
    issuer.answer = well(jwks("rsa-2"))
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(token("rsa-2"))
    assert refused.value.kind is TokenRefusal.UNKNOWN_KEY
    now[0] += PAUSE_SECONDS
    assert await tokens.verify(token("rsa-2")) == (ISSUER, SUBJECT)
    with pytest.raises(TokenRefused) as refused:  # the key that the issuer has taken back
        await tokens.verify(token())
    assert refused.value.kind is TokenRefusal.UNKNOWN_KEY
    assert issuer.asked == ["/keys", "/keys"]


BAD: dict[str, Answer] = {
    "an error": well(jwks("ed-1"), 500),
    "a redirect": well(b"", 302, location="/elsewhere"),
    "larger than a set": well(b" " * (LONGEST_SET + 1)),
    "without an end": without_end,
    "compressed": well(gzip.compress(jwks("ed-1")), content_encoding="gzip"),
    "a page": well(b"<html>"),
    "no key": well(b'{"keys": []}'),
    "drop by drop": drop_by_drop,
    "hanging up": hang_up,
}


@pytest.mark.parametrize("how", BAD)
async def test_an_issuer_that_answers_badly_leaves_the_last_keys(
    issuer: Issuer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks_sources, "FETCH_SECONDS", 1.0)
    now = [1000.0]
    tokens = OidcTokens(PROVIDER, FetchedKeys(issuer.address, lambda: now[0]))
    issuer.answer = BAD[how]
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(token())
    assert refused.value.kind is TokenRefusal.KEYS_UNAVAILABLE
    issuer.answer = well(jwks("ed-1"))
    now[0] += PAUSE_SECONDS
    assert await tokens.verify(token()) == (ISSUER, SUBJECT)
    issuer.answer = BAD[how]
    now[0] += PAUSE_SECONDS
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(token("ed-2"))
    assert refused.value.kind is TokenRefusal.UNKNOWN_KEY
    assert await tokens.verify(token()) == (ISSUER, SUBJECT)
    assert set(issuer.asked) == {"/keys"}  # and no other address
    assert len(issuer.asked) <= 5  # a GET whose connection broke off is sent once more by the library


async def test_an_issuer_that_is_not_there_is_said_to_be_unavailable() -> None:
    tokens = OidcTokens(PROVIDER, FetchedKeys("http://127.0.0.1:9/keys"))
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(token())
    assert refused.value.kind is TokenRefusal.KEYS_UNAVAILABLE


async def test_while_an_issuer_is_slow_everything_else_goes_on(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks_sources, "FETCH_SECONDS", 1.0)
    issuer.answer = drop_by_drop
    waiting = asyncio.create_task(OidcTokens(PROVIDER, FetchedKeys(issuer.address)).verify(token()))
    beats = 0
    while not waiting.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert beats > 10
    assert isinstance(waiting.exception(), TokenRefused)


async def test_a_proxy_of_the_environment_is_not_asked(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await fetch_jwks(issuer.address) == jwks("ed-1")


async def test_what_is_larger_than_a_set_is_not_read_to_its_end(issuer: Issuer) -> None:
    issuer.answer = without_end
    with pytest.raises(BadJwks, match="larger than 1 MiB"):
        await asyncio.wait_for(fetch_jwks(issuer.address), 20)


async def test_of_a_compressed_answer_the_log_says_that_it_is_one(issuer: Issuer) -> None:
    issuer.answer = BAD["compressed"]
    with pytest.raises(BadJwks, match="compressed"):
        await fetch_jwks(issuer.address)


async def test_an_https_address_needs_a_certificate(issuer: Issuer) -> None:
    with pytest.raises(aiohttp.ClientError):
        await fetch_jwks(issuer.address.replace("http://", "https://"))
