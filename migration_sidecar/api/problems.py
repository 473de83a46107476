"""Maps exceptions of a service to problem documents and HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError

from migration_sidecar.api.routes import validation_problem
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.strict_json import StrictJsonError
from migration_sidecar.http_server.problem_response import Describe


def _known_problem(error: ProblemError) -> tuple[Problem, int]:
    return error.problem, error.status


def _strict_json_problem(error: StrictJsonError) -> tuple[Problem, int]:
    return Problem.of(error.code, str(error)), 400


PROBLEMS: Mapping[type[Exception], Describe] = {
    ProblemError: _known_problem,
    StrictJsonError: _strict_json_problem,
    RequestValidationError: lambda error: _known_problem(validation_problem(error)),
}
