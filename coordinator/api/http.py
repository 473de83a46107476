"""Shared by the routes: the identity of the caller, the check of the content type, and the answers to errors."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request

from coordinator.errors import CoordinatorError, WrongContentType
from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.problem_response import Describe

log = logging.getLogger(__name__)

APP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Callers:
    """Identifies callers by the headers that daprd sets; they are trusted only with the app API token."""

    token: str = field(repr=False)
    own_app_id: str

    def identify(self, request: Request) -> str | None:
        """The app id of the caller; None if it is unknown.

        Also None for a call through our own daprd, which only shows that it came from this machine.
        """
        tokens, names = (request.headers.getlist(name) for name in ("dapr-api-token", "dapr-caller-app-id"))
        if not self.token or len(tokens) != 1 or len(names) != 1:
            return None
        is_daprd = hmac.compare_digest(tokens[0].encode(), self.token.encode())
        return names[0] if is_daprd and APP_ID.fullmatch(names[0]) and names[0] != self.own_app_id else None


def require_plain_json(request: Request) -> None:
    """Raises WrongContentType unless the body is unencoded application/json."""
    kind = request.headers.get("content-type", "application/json")
    if kind.split(";")[0].strip().lower() != "application/json":
        raise WrongContentType(kind)
    if encoding := request.headers.get("content-encoding"):
        raise WrongContentType(encoding)


def _describe(error: CoordinatorError) -> tuple[Problem, int]:
    if error.answer_status >= 500:
        log.warning("request_failed", extra={"code": error.problem().code, "why": error.detail})
    return error.problem(), error.answer_status


PROBLEMS: Mapping[type[Exception], Describe] = {CoordinatorError: _describe}
