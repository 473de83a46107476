"""Shared by the routes: the check of the content type, and the answers to errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import Request

from coordinator.errors import CoordinatorError, WrongContentType
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.problem_response import Describe

log = logging.getLogger(__name__)


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


def _describe_shared(error: ProblemError) -> tuple[Problem, int]:
    return error.problem, error.status


PROBLEMS: Mapping[type[Exception], Describe] = {CoordinatorError: _describe, ProblemError: _describe_shared}
