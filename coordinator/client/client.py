"""The coordinator's routes as Python calls. Every call is safe to repeat."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from coordinator.client.errors import AppNotReady, AppNotRunning, BadInput, CannotReach, NoReply
from coordinator.client.operator_key import APP_ID, operator_signer, signing_hook
from coordinator.client.operator_token import ReadToken, operator_token, token_hook
from coordinator.client.responses import Document, parse_response
from coordinator.client.state_folders import token_of_daprd
from signed_calls.sidecar_token import HEADER
from signed_calls.signer import Signer

TRIES = 3
PAUSE_SECONDS = 0.5
# The longest time from the start of an application until it listens.
START_SECONDS = 10.0
ANSWER_BYTES = 128 * 1024 * 1024  # a page of whole runs; an export is read line by line
CHUNK_BYTES = 64 * 1024


def daprd_url(environment: Mapping[str, str] = os.environ) -> str:
    """The address of daprd on this machine. Raises BadInput if DAPR_HTTP_PORT is not a number."""
    port = environment.get("DAPR_HTTP_PORT") or "3500"
    if not port.isdecimal():
        raise BadInput("DAPR_HTTP_PORT is not a port", "its value is not a number", "unset or correct it")
    return f"http://127.0.0.1:{port}"


def sidecar_url(environment: Mapping[str, str] = os.environ) -> str:
    """The coordinator's address through daprd on this machine. Raises BadInput if DAPR_HTTP_PORT is not a number."""
    return f"{daprd_url(environment)}/v1.0/invoke/{APP_ID}/method"


def _content(answer: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in answer.iter_bytes(CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_BYTES:
            raise _too_long()
    return bytes(content)


def _too_long() -> CannotReach:
    return CannotReach(
        f"the answer is longer than {ANSWER_BYTES} bytes",
        "check DAPR_HTTP_PORT and COORDINATOR_URL, or ask for less at once",
        retryable=False,
    )


def _parse_address(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address.rstrip("/"))
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise BadInput(
            "This is not an address of a coordinator",
            "an address starts with http:// or https:// and names a host",
            "correct --url or COORDINATOR_URL",
        )
    return url


class CoordinatorClient:
    """Calls the coordinator at `address`; if there is none, through daprd, with its token.

    Every call is signed if there is a `signer`, or else made with the token that `read_token` gives. It raises Refused
    for a problem that the coordinator answers, and CannotReach if it does not answer. `transport` is for tests.
    """

    def __init__(
        self,
        address: str | None = None,
        transport: httpx.BaseTransport | None = None,
        signer: Signer | None = None,
        read_token: ReadToken | None = None,
    ) -> None:
        token = "" if address else token_of_daprd()
        self._address = _parse_address(address or sidecar_url())
        self._printable_address = str(self._address.copy_with(userinfo=b""))  # without the password
        hooks = [signing_hook(signer, self._address.path.rstrip("/"))] if signer else []
        if read_token and not signer:
            hooks = [token_hook(read_token)]
        self._http = httpx.Client(
            headers={"accept-encoding": "identity"} | ({HEADER: token} if token else {}),
            timeout=httpx.Timeout(30, connect=5),
            trust_env=False,  # a proxy meant for the internet must not see calls to this machine
            transport=transport,
            event_hooks={"request": hooks},
        )

    @classmethod
    def of_operator(cls, address: str | None = None) -> Self:
        """With the token or the key of whoever runs the command. Raises BadInput if that cannot be used."""
        read_token = operator_token()
        return cls(address, signer=None if read_token else operator_signer(), read_token=read_token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def request(self, body: Document) -> Document:
        """Sends a migration request and returns the run. A repeat starts no second run: the body has the request id."""
        return self._call("POST", "/migrations", json=body)

    def command(self, request_id: str, verb: str, body: Document) -> Document:
        """Gives a command and returns the run after it. A repeat changes nothing: the body has the command id."""
        return self._call("POST", f"/migrations/{request_id}/{verb}", json=body)

    def runs(self, parameters: Document) -> Document:
        """One page of runs, the newest first; `parameters` are those of GET /migrations."""
        return self._call("GET", "/migrations", params=parameters)

    def run(self, request_id: str, wait_seconds: int = 0, after_version: int = 0) -> Document:
        """Returns the run; tries only once, because its caller (`Watch`) repeats the call itself.

        With `wait_seconds` the answer comes when the run is newer than `after_version`, or when that time is over.
        """
        parameters = {"wait_seconds": wait_seconds, "after_version": after_version}
        nonzero = {name: value for name, value in parameters.items() if value}
        return self._once("GET", f"/migrations/{request_id}", params=nonzero)

    def run_now(self, request_id: str) -> Document:
        """The run as it is now, for callers that do not watch it; repeated like every other call."""
        return self._call("GET", f"/migrations/{request_id}")

    def plan(self, body: Document, *, with_sql: bool) -> Document:
        """What a request with this body would do. Changes nothing."""
        return self._call("POST", "/plans", json=body, params={"sql": "true"} if with_sql else {})

    def fleet(self) -> Document:
        """The state of every service, and the services that have left the fleet."""
        return self._call("GET", "/fleet")

    def dead_letters(self, parameters: Document) -> Document:
        """One page of dead letters, the newest first; `parameters` are those of GET /dead-letters."""
        return self._call("GET", "/dead-letters", params=parameters)

    def dead_letter(self, name: str) -> Document:
        """One dead letter with what is kept of its event, by its id or its request id."""
        return self._call("GET", f"/dead-letters/{name}")

    def resubmit(self, name: str, body: Document) -> Document:
        """The run of a dead letter. A repeat starts no second run: a letter is one run."""
        return self._call("POST", f"/dead-letters/{name}/resubmit", json=body)

    def journal(self, service: str, after: int, limit: int) -> Document:
        """The journal rows of one service whose number is greater than `after`, at most `limit`."""
        return self._call("GET", f"/journals/{quote(service, safe='')}", params={"after": after, "limit": limit})

    def audit(self, parameters: Document) -> Document:
        """One page of audit events; `parameters` are those of GET /audit/events."""
        return self._call("GET", "/audit/events", params=parameters)

    def audit_event(self, event: str) -> Document:
        """One audit event, by its number or its id."""
        return self._call("GET", f"/audit/events/{quote(event, safe='')}")

    def audit_run(self, request_id: str) -> Document:
        """The audit's events of one run, with a summary."""
        return self._call("GET", f"/audit/runs/{request_id}")

    def acknowledge(self, body: Document) -> Document:
        """Has an acknowledgement recorded and returns its event. A repeat is a second event that says the same."""
        return self._call("POST", "/audit/acknowledgements", json=body)

    def audit_verify(self, parameters: Document) -> Document:
        """The verdict on one range of events: at most `limit` of them, after number `after`."""
        return self._call("GET", "/audit/verify", params=parameters)

    def audit_proof(self, event: str) -> Document:
        """The proof of one event, by its number or its id, with the public keys."""
        return self._call("GET", f"/audit/proof/{quote(event, safe='')}")

    def audit_export(self, parameters: Document) -> Iterator[bytes]:
        """Yields whole lines and leaves out an unfinished last line. `Download` repeats this call itself."""
        url = f"{self._address}/audit/export"
        with self._transport_errors(), self._http.stream("GET", url, params=parameters) as answer:
            if not answer.is_success:
                parse_response(httpx.Response(answer.status_code, content=_content(answer), request=answer.request))
            unfinished = b""
            for chunk in answer.iter_bytes():
                *lines, unfinished = (unfinished + chunk).split(b"\n")
                yield from (line + b"\n" for line in lines)
                if len(unfinished) > ANSWER_BYTES:
                    raise _too_long()

    def _call(self, method: str, path: str, **content: Any) -> Document:
        """Repeats a call whose answer was lost, and waits up to START_SECONDS for a coordinator that is starting."""
        deadline = time.monotonic() + START_SECONDS
        lost_answers = 0
        while True:
            try:
                return self._once(method, path, **content)
            except AppNotReady as error:
                if time.monotonic() >= deadline:
                    raise AppNotRunning from error
            except NoReply:
                lost_answers += 1
                if lost_answers == TRIES:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _once(self, method: str, path: str, **content: Any) -> Document:
        with self._transport_errors():
            return parse_response(self._answer(method, f"{self._address}{path}", **content))

    def _answer(self, method: str, url: str, **content: Any) -> httpx.Response:
        """Reads the whole answer; raises CannotReach if it is longer than ANSWER_BYTES."""
        with self._http.stream(method, url, **content) as answer:
            return httpx.Response(answer.status_code, content=_content(answer), request=answer.request)

    @contextmanager
    def _transport_errors(self) -> Iterator[None]:
        """Turns errors of the connection into CannotReach or Lost."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise CannotReach(
                f"nothing answers at {self._printable_address}",
                "start the fleet (dapr run -f dapr.yaml), or set DAPR_HTTP_PORT or COORDINATOR_URL to where it runs",
            ) from error
        except httpx.TransportError as error:
            raise NoReply(
                f"the connection to {self._printable_address} broke ({type(error).__name__})",
                "run the same command again; repeating it is safe",
            ) from error
