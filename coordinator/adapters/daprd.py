"""HTTP to the coordinator's own daprd, the only address to which the coordinator connects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import aiohttp
from yarl import URL

from coordinator.unavailable import SidecarUnreachable
from signed_calls.signature import Call
from signed_calls.signer import Signer

APP_ID_HEADER = "dapr-app-id"  # names the application that a call is for
CALL_SECONDS = 15.0
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 20.0  # below the 30 s after which our own callers give up, so that they get our error
CHUNK_BYTES = 64 * 1024
ANSWER_BYTES = 4 * 1024 * 1024  # of one answer, unless the caller says otherwise; daprd takes as much for a request


class AnswerTooLarge(Exception):
    """An answer is larger than `most_bytes`; reading stopped there."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"with more than {most_bytes} bytes, the most that is read")


class Reply(NamedTuple):
    """An answer that was read to its end."""

    status: int
    content: bytes
    etag: str = ""

    def document(self) -> Any:
        """The JSON in it; None where there is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class StreamingReply:
    """An answer whose body is being received. Read it to its end or close it: until then it holds its connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status, self.content_type = response.status, response.content_type
        self.is_encoded = response.headers.get("content-encoding", "identity") != "identity"

    async def whole(self) -> Reply:
        """Reads the rest of it, up to the usual limit; raises AnswerTooLarge."""
        with _translate_errors():
            return Reply(self.status, await _content(self._response, ANSWER_BYTES))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. It ends where daprd ends it; only the content can say whether it was complete."""
        try:
            async for chunk in self._response.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Gives the connection back without reading the rest."""
        self._response.close()


class HttpCaller(Protocol):
    """Raises SidecarUnreachable for a daprd that is away, and TimeoutError for one that does not answer in time.

    And AnswerTooLarge for an answer that goes on beyond `most_bytes`.
    """

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
        most_bytes: int = ANSWER_BYTES,
    ) -> Reply:
        """One request and its whole answer; raises AnswerTooLarge beyond `most_bytes`."""
        ...

    async def open(self, path: str, query: str, *, headers: Mapping[str, str]) -> StreamingReply:
        """A GET whose answer may be of any size; raises the same errors."""
        ...


class DaprHttpClient:
    """Implements HttpCaller. No proxies, no redirects, no cookies: an answer comes from daprd or not at all.

    What it asks another application is signed for that application, if there is a `signer`.
    aiohttp, which the Dapr SDK brings, takes a fifth of httpx's time per call, and a step makes ten of them.
    """

    def __init__(self, http_port: int, api_token: str = "", signer: Signer | None = None) -> None:
        self._base, self._signer = f"http://127.0.0.1:{http_port}", signer
        # A compressed answer is not unpacked: only its sender knows how large it becomes.
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        self._headers |= {"dapr-api-token": api_token} if api_token else {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=200),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
        most_bytes: int = ANSWER_BYTES,
    ) -> Reply:
        """As HttpCaller.call."""
        payload = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        url = URL(self._base + path).extend_query(parameters or {})
        with _translate_errors():
            async with self._session.request(
                method,
                url,
                data=payload,
                headers=self._signed(method, url, payload or b"", headers or {}),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = await _content(response, most_bytes)
                return Reply(response.status, content, response.headers.get("etag", ""))

    async def open(self, path: str, query: str, *, headers: Mapping[str, str]) -> StreamingReply:
        """As HttpCaller.open."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        url = URL(f"{self._base}{path}{'?' if query else ''}{query}", encoded=True)
        headers = self._signed("GET", url, b"", headers)
        with _translate_errors():
            return StreamingReply(await self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False))

    def _signed(self, method: str, url: URL, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        """With a signature if the call is for another application, and not for daprd itself."""
        audience = headers.get(APP_ID_HEADER)
        if audience is None or self._signer is None:
            return headers
        return {**headers, **self._signer.sign(Call(method, url.raw_path_qs, audience, body))}


async def _content(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Counts bytes as they come: Content-Length may be absent or wrong."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        content += chunk
        if len(content) > most_bytes:
            response.close()
            raise AnswerTooLarge(most_bytes)
    return bytes(content)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise SidecarUnreachable("no connection in time") from error
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise SidecarUnreachable(type(error).__name__) from error
