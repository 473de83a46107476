"""The answer to every refused or failed request: application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.validation import first_mistake
from signed_calls.refusal import PASSING, CallRefused, Refusal

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Returns the problem and the HTTP status for an exception.
Describe = Callable[[Any], tuple[Problem, int]]


class ProblemDocument(Problem):
    """The body of a problem answer."""

    type: Literal["about:blank"] = "about:blank"
    status: int


def problem_response(problem: Problem, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The HTTP answer for a problem."""
    content = {"type": "about:blank", "status": status, **problem.model_dump(mode="json", exclude_none=True)}
    return JSONResponse(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install_problem_handlers(app: FastAPI, own: Mapping[type[Exception], Describe]) -> None:
    """Makes every exception a problem document. `own` describes the exceptions of the application.

    Errors of FastAPI and unexpected errors are described here unless `own` describes them.
    """
    for kind, describe in {**COMMON, **own}.items():
        app.add_exception_handler(kind, _exception_handler(describe))


def _exception_handler(describe: Describe) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem, status = describe(error)
        return problem_response(problem, status, _headers_for(status, request))

    return answer


def _headers_for(status: int, request: Request) -> dict[str, str] | None:
    """What HTTP demands beside these statuses (RFC 9110, sections 15.5.2 and 15.5.6)."""
    if status == 405:
        return {"Allow": ", ".join(_methods_of(request))}
    return {"WWW-Authenticate": ", ".join(_challenges(request))} if status == 401 else None


def _challenges(request: Request) -> tuple[str, ...]:
    """How a caller may prove who it is. An application that takes more than signatures says so in its state."""
    return ("Signature", *getattr(request.app.state, "more_challenges", ()))


def _methods_of(request: Request) -> list[str]:
    """All methods of this address. One route knows only its own."""
    routes, scope = request.app.router.routes, request.scope
    known = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
    return [each for each in known if any(r.matches({**scope, "method": each})[0] is Match.FULL for r in routes)]


def _invalid(error: RequestValidationError) -> tuple[Problem, int]:
    return Problem.of("CM-603", first_mistake(error)), 422


def _caller_not_proven(error: CallRefused) -> tuple[Problem, int]:
    status = 503 if error.kind is Refusal.MEMORY_FULL else 401
    return Problem.of("CM-108", error.detail, retryable=error.kind in PASSING), status


def _refused_by_framework(error: HTTPException) -> tuple[Problem, int]:
    detail = f"{str(error.detail).rstrip('.')}."
    return Problem.of("CM-603", detail, next_step="See the routes in docs/api.md."), error.status_code


def _unforeseen(error: Exception) -> tuple[Problem, int]:
    log.error("unexpected", exc_info=error)
    detail = "The log of this application says what; nothing more is said here on purpose."
    return Problem.of("CM-901", detail), 500


COMMON: Mapping[type[Exception], Describe] = {
    RequestValidationError: _invalid,
    CallRefused: _caller_not_proven,
    HTTPException: _refused_by_framework,
    Exception: _unforeseen,
}
