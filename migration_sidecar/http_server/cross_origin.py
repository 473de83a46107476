"""Refuses what a web page could send to an application on this machine, before any route sees it.

A page may send requests to any address of the machine whose browser shows it. What tells them apart: the browser names
the page (Origin, Sec-Fetch-Site); a page that has an own name lead here still calls that name (Host); and without
asking beforehand it can only declare a body as text or as a form.
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

READING = frozenset({"GET", "HEAD", "OPTIONS"})
JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json", re.ASCII)
OWN_SITES = frozenset({"none", "same-origin"})
LONGEST_SHOWN = 80

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CallerRefusal:
    """Why a request is refused; `kind` is what is counted in the log."""

    kind: str
    status: int
    problem: Problem


class CrossOriginGuard:
    """Pure ASGI. `setting` is where the operator allows more host names; they are in the application's state."""

    def __init__(self, app: Application, *, setting: str) -> None:
        self._app, self._setting = app, setting
        self._warnings = RateLimitedWarnings(log)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            self._warnings.warn("request_refused", kind=scope["type"])
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif (foreign := refused_caller(Headers(scope), scope["scheme"], _hosts(scope), self._setting)) is not None:
            await self._refuse(foreign, scope, receive, send)
        elif scope["method"] in READING or is_json(Headers(scope)):
            await self._app(scope, receive, send)
        elif (first := await _first_part(receive)).get("body"):
            await self._refuse(NOT_JSON, scope, receive, send)
        else:
            await self._app(scope, _beginning_with(first, receive), send)

    async def _refuse(
        self, refusal: CallerRefusal, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        code, detail = refusal.problem.code, refusal.problem.detail
        self._warnings.warn("request_refused", kind=refusal.kind, code=code, why=detail)
        await problem_response(refusal.problem, refusal.status)(scope, receive, send)


class Headers:
    """Every value of a header, in the order they came: two of one kind mean different things to different readers."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]


def refused_caller(headers: Headers, scheme: str, hosts: Collection[str], setting: str) -> CallerRefusal | None:
    """Why a request is not answered because of whom it names; None where nothing speaks against it."""
    called, pages, sites = (headers.all(name) for name in (b"host", b"origin", b"sec-fetch-site"))
    if len(called) != 1 or host_name(called[0]) not in hosts:
        return _foreign("host", f"It calls this application {_shown(called)}.", setting)
    if len(pages) > 1 or (pages and pages[0].lower() != f"{scheme}://{called[0]}".lower()):
        return _foreign("origin", f"A web page sent it: its Origin is {_shown(pages)}.", setting)
    if len(sites) > 1 or not OWN_SITES.issuperset(sites):
        return _foreign("site", f"A web page sent it: its Sec-Fetch-Site is {_shown(sites)}.", setting)
    return None


def is_json(headers: Headers) -> bool:
    """Whether the body is declared as JSON, once; a page cannot do that without being asked for leave beforehand."""
    types = headers.all(b"content-type")
    return len(types) == 1 and JSON_TYPE.fullmatch(types[0].split(";")[0].strip().lower()) is not None


def _foreign(kind: str, detail: str, setting: str) -> CallerRefusal:
    next_step = f"Call it as 127.0.0.1, localhost or [::1], from no web page; {setting} allows other host names."
    return CallerRefusal(kind, 403, Problem.of("CM-107", detail, next_step=next_step))


NOT_JSON = CallerRefusal(
    "type",
    415,
    Problem.of(
        "CM-101", "The body is not declared as JSON, or more than once.", next_step="Send it as application/json."
    ),
)


def _shown(values: list[str]) -> str:
    return " and ".join(repr(value[:LONGEST_SHOWN]) for value in values[:3]) or "by no name"


def _hosts(scope: Mapping[str, Any]) -> Collection[str]:
    found: Collection[str] = getattr(scope["app"].state, "allowed_hosts", LOOPBACK)
    return found


async def _first_part(receive: Receive) -> Message:
    """The first message that has a part of the body in it, or that says there is none or nobody left."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or message.get("body") or not message.get("more_body"):
            return message


def _beginning_with(first: Message, receive: Receive) -> Receive:
    kept = [first]

    async def receive_again() -> Message:
        return kept.pop() if kept else await receive()

    return receive_again
