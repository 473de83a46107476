"""The coordinator's routes as Python calls; every one of them is safe to repeat."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from coordinator.client.errors import BadInput, CannotReach, Gone, Lost, NotListening
from coordinator.client.responses import document_of

APP_ID = "migration-coordinator"
TRIES = 3
PAUSE_SECONDS = 0.5
# As long as an application takes at most from its start until it listens.
START_SECONDS = 10.0
ANSWER_BYTES = 128 * 1024 * 1024  # a page of whole runs; an export is read line by line
CHUNK_BYTES = 64 * 1024
Document = dict[str, Any]


def sidecar_url(environment: Mapping[str, str] = os.environ) -> str:
    """The coordinator behind the daprd that listens on this machine."""
    port = environment.get("DAPR_HTTP_PORT") or "3500"
    if not port.isdecimal():
        raise BadInput("DAPR_HTTP_PORT is not a port", "it holds something else than a number", "unset or correct it")
    return f"http://127.0.0.1:{port}/v1.0/invoke/{APP_ID}/method"


def _content(answer: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in answer.iter_bytes(CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_BYTES:
            raise _endless()
    return bytes(content)


def _endless() -> CannotReach:
    return CannotReach(
        f"what answered sent more than {ANSWER_BYTES} bytes",
        "check DAPR_HTTP_PORT and COORDINATOR_URL, or ask for less at once",
        retryable=False,
    )


def _checked(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address.rstrip("/"))
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise BadInput(
            "That is no address of a coordinator",
            "it must start with http:// or https:// and name a host",
            "correct --url or COORDINATOR_URL",
        )
    return url


class CoordinatorClient:
    """Without an address it goes through the sidecar and shows it the token in DAPR_API_TOKEN."""

    def __init__(self, address: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        token = os.environ.get("DAPR_API_TOKEN")
        self._address = _checked(address or sidecar_url())
        self._shown = str(self._address.copy_with(userinfo=b""))
        self._http = httpx.Client(
            headers={"accept-encoding": "identity"} | ({"dapr-api-token": token} if token and not address else {}),
            timeout=httpx.Timeout(30, connect=5),
            trust_env=False,  # a proxy meant for the internet must not see calls to this machine
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def request(self, body: Document) -> Document:
        """Repeated when an answer is lost: the request id in the body makes it the same run."""
        return self._call("POST", "/migrations", json=body)

    def runs(self, parameters: Document) -> Document:
        return self._call("GET", "/migrations", params=parameters)

    def run(self, request_id: str, wait_seconds: int = 0, after_version: int = 0) -> Document:
        """One try, for a caller that watches; with `wait_seconds` answered once it is newer than `after_version`."""
        parameters = {"wait_seconds": wait_seconds, "after_version": after_version}
        told = {name: value for name, value in parameters.items() if value}
        return self._once("GET", f"/migrations/{request_id}", params=told)

    def run_now(self, request_id: str) -> Document:
        return self._call("GET", f"/migrations/{request_id}")

    def plan(self, body: Document, *, with_sql: bool) -> Document:
        return self._call("POST", "/plans", json=body, params={"sql": "true"} if with_sql else {})

    def fleet(self) -> Document:
        return self._call("GET", "/fleet")

    def journal(self, service: str, after: int, limit: int) -> Document:
        return self._call("GET", f"/journals/{quote(service, safe='')}", params={"after": after, "limit": limit})

    def audit(self, parameters: Document) -> Document:
        return self._call("GET", "/audit/events", params=parameters)

    def audit_event(self, event: str) -> Document:
        return self._call("GET", f"/audit/events/{quote(event, safe='')}")

    def audit_story(self, request_id: str) -> Document:
        return self._call("GET", f"/audit/runs/{request_id}")

    def audit_verify(self, parameters: Document) -> Document:
        return self._call("GET", "/audit/verify", params=parameters)

    def audit_proof(self, event: str) -> Document:
        return self._call("GET", f"/audit/proof/{quote(event, safe='')}")

    def audit_export(self, parameters: Document) -> Iterator[bytes]:
        """Whole lines, for as long as they come: where the last one stood only an export itself can say."""
        with self._reaching(), self._http.stream("GET", f"{self._address}/audit/export", params=parameters) as answer:
            if not answer.is_success:
                document_of(httpx.Response(answer.status_code, content=_content(answer), request=answer.request))
            rest = b""
            for chunk in answer.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line + b"\n" for line in lines)
                if len(rest) > ANSWER_BYTES:
                    raise _endless()

    def _call(self, method: str, path: str, **content: Any) -> Document:
        """Tries again where an answer was lost, and until an application that is only starting can listen."""
        give_up = time.monotonic() + START_SECONDS
        lost = 0
        while True:
            try:
                return self._once(method, path, **content)
            except NotListening as error:
                if time.monotonic() >= give_up:
                    raise Gone from error
            except Lost:
                lost += 1
                if lost == TRIES:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _once(self, method: str, path: str, **content: Any) -> Document:
        with self._reaching():
            return document_of(self._answer(method, f"{self._address}{path}", **content))

    def _answer(self, method: str, url: str, **content: Any) -> httpx.Response:
        """Whole, unless it does not end."""
        with self._http.stream(method, url, **content) as answer:
            return httpx.Response(answer.status_code, content=_content(answer), request=answer.request)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise CannotReach(
                f"nothing answers at {self._shown}",
                "start the fleet (dapr run -f dapr.yaml), or set DAPR_HTTP_PORT or COORDINATOR_URL to where it runs",
            ) from error
        except httpx.TransportError as error:
            raise Lost(
                f"the connection to {self._shown} broke ({type(error).__name__})",
                "run the same command again; repeating it is safe",
            ) from error
