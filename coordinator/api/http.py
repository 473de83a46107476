"""What both doors share: a body counted while it streams, parameters that are known, problems as answers."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from coordinator.domain.request_parsing.request_json import MAXIMUM_BYTES
from coordinator.errors import (
    BadField,
    BodyTooLarge,
    CoordinatorError,
    InternalError,
    NoSuchRoute,
    WrongContentType,
    WrongVerb,
    quoted,
)

log = logging.getLogger(__name__)

APP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Callers:
    """Tells who called from what daprd says, and believes it only with the token that daprd and we alone know."""

    token: str = field(repr=False)
    own_app_id: str

    def of(self, request: Request) -> str | None:
        """None for somebody at our own sidecar as well: that says only that it came from this machine."""
        tokens, names = (request.headers.getlist(name) for name in ("dapr-api-token", "dapr-caller-app-id"))
        if not self.token or len(tokens) != 1 or len(names) != 1:
            return None
        is_daprd = hmac.compare_digest(tokens[0].encode(), self.token.encode())
        return names[0] if is_daprd and APP_ID.fullmatch(names[0]) and names[0] != self.own_app_id else None


def problem_answer(error: CoordinatorError) -> JSONResponse:
    return problem_document(error, error.answer_status)


def problem_document(error: CoordinatorError, status: int) -> JSONResponse:
    facts = error.problem().model_dump(mode="json", exclude_none=True)
    body = {"type": "about:blank", "status": status, **facts}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


async def read_body(request: Request, limit: int = MAXIMUM_BYTES) -> bytes:
    """Stops reading at the limit, whatever Content-Length said; raises CM-106."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def require_plain_json(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json")
    if kind.split(";")[0].strip().lower() != "application/json":
        raise WrongContentType(kind)
    if encoding := request.headers.get("content-encoding"):
        raise WrongContentType(encoding)


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query as given once each; an unknown or doubled parameter is refused, never ignored."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise BadField(f"There is no parameter {quoted(name)} here; known: {', '.join(known) or 'none'}.")
        if name in found:
            raise BadField(f"The parameter {name} is given more than once.")
        found[name] = value
    return found


def whole_number(given: dict[str, str], name: str, default: int, *, most: int, least: int = 0) -> int:
    text = given.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise BadField(f"{name} = {quoted(text)} is not a whole number from {least} to {most}.")
    return int(text)


def yes_or_no(given: dict[str, str], name: str) -> bool:
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise BadField(f"{name} = {quoted(text)} is neither true nor false.")
    return text == "true"


def answer_with_problems(app: FastAPI) -> None:
    """Every way to fail ends in a problem document; what nobody foresaw is logged and told without detail."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, CoordinatorError):
            return problem_answer(InternalError())
        if error.answer_status >= 500:
            log.warning("request_failed", extra={"code": error.problem().code, "why": error.detail})
        return problem_answer(error)

    async def by_framework(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        found: dict[int, CoordinatorError] = {404: NoSuchRoute(request.method), 405: WrongVerb(request.method)}
        return problem_answer(found.get(status, InternalError()))

    async def unforeseen(_: Request, __: Exception) -> JSONResponse:
        return problem_answer(InternalError())

    handlers: dict[type[Exception], Any] = {
        CoordinatorError: known,
        HTTPException: by_framework,
        Exception: unforeseen,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
