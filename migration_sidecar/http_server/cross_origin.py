"""Refuses requests that a web page could have sent to an application on this machine, before any route runs.

A web page may send requests to any address that its browser can reach. Three things identify them: the browser names
the page (Origin, Sec-Fetch-Site); a page whose own host name resolves to this machine still sends that name (Host); and
without a preflight request it can declare a body only as text or as a form.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from migration_sidecar.contract.host_names import LOOPBACK, host_name
from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.problem_response import problem_response
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json", re.ASCII)
OWN_SITES = frozenset({"none", "same-origin"})
LONGEST_SHOWN = 80

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CallerRefusal:
    """Why a request is refused. The log counts refusals by `kind`."""

    kind: str
    status: int
    problem: Problem


class CrossOriginGuard:
    """ASGI middleware. `setting` names the setting for more host names; `app.state.allowed_hosts` has their values."""

    def __init__(self, app: Application, *, setting: str) -> None:
        self._app, self._setting = app, setting
        self._warnings = RateLimitedWarnings(log)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Refuses the request with 403 or 415, or passes it on. WebSockets are always refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            self._warnings.warn("request_refused", kind=scope["type"])
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif (
            foreign := refused_caller(Headers(scope), scope["scheme"], _allowed_hosts(scope), self._setting)
        ) is not None:
            await self._refuse(foreign, scope, receive, send)
        elif scope["method"] in SAFE_METHODS or is_json(Headers(scope)):
            await self._app(scope, receive, send)
        elif (first := await _first_body_message(receive)).get("body"):
            await self._refuse(NOT_JSON, scope, receive, send)
        else:
            await self._app(scope, _replay_first(first, receive), send)

    async def _refuse(
        self, refusal: CallerRefusal, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        code, detail = refusal.problem.code, refusal.problem.detail
        self._warnings.warn("request_refused", kind=refusal.kind, code=code, why=detail)
        await problem_response(refusal.problem, refusal.status)(scope, receive, send)


class Headers:
    """All values of each header, in order: two values of one header may be read differently by different programs."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])

    def all(self, name: bytes) -> list[str]:
        """The values of one header. `name` is in lower case."""
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]


def refused_caller(headers: Headers, scheme: str, hosts: Collection[str], setting: str) -> CallerRefusal | None:
    """The refusal if Host, Origin or Sec-Fetch-Site names a web page or an unknown host; otherwise None."""
    called, pages, sites = (headers.all(name) for name in (b"host", b"origin", b"sec-fetch-site"))
    if len(called) != 1 or host_name(called[0]) not in hosts:
        return _foreign_caller("host", f"It calls this application {_quote_values(called)}.", setting)
    if len(pages) > 1 or (pages and pages[0].lower() != f"{scheme}://{called[0]}".lower()):
        return _foreign_caller("origin", f"A web page sent it: its Origin is {_quote_values(pages)}.", setting)
    if len(sites) > 1 or not OWN_SITES.issuperset(sites):
        return _foreign_caller("site", f"A web page sent it: its Sec-Fetch-Site is {_quote_values(sites)}.", setting)
    return None


def is_json(headers: Headers) -> bool:
    """Whether exactly one header declares the body as JSON. A web page cannot do that without a preflight request."""
    types = headers.all(b"content-type")
    return len(types) == 1 and JSON_TYPE.fullmatch(types[0].split(";")[0].strip().lower()) is not None


def _foreign_caller(kind: str, detail: str, setting: str) -> CallerRefusal:
    next_step = f"Call it as 127.0.0.1, localhost or [::1], from no web page; {setting} allows other host names."
    return CallerRefusal(kind, 403, Problem.of("CM-107", detail, next_step=next_step))


NOT_JSON = CallerRefusal(
    "type",
    415,
    Problem.of(
        "CM-101", "The body is not declared as JSON, or more than once.", next_step="Send it as application/json."
    ),
)


def _quote_values(values: list[str]) -> str:
    return " and ".join(repr(value[:LONGEST_SHOWN]) for value in values[:3]) or "by no name"


def _allowed_hosts(scope: Mapping[str, Any]) -> Collection[str]:
    allowed_hosts: Collection[str] = getattr(scope["app"].state, "allowed_hosts", LOOPBACK)
    return allowed_hosts


async def _first_body_message(receive: Receive) -> Message:
    """The first message with a part of the body, or the message that the body is empty or the client has gone."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or message.get("body") or not message.get("more_body"):
            return message


def _replay_first(first: Message, receive: Receive) -> Receive:
    pending = [first]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again
