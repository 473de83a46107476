"""The routes of the migration sidecar endpoint; strict in what they take, one problem document for every refusal."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from migration_sidecar.alembic_environment.load_deadline import at_most
from migration_sidecar.config.downgrade_permission import objection
from migration_sidecar.contract.errors import BadRequest, BodyTooLarge, ProblemError, UnknownTarget
from migration_sidecar.contract.messages import (
    Action,
    Asked,
    MigrationPlan,
    Operation,
    OperationId,
    OperationRequest,
    ServiceStatus,
)
from migration_sidecar.contract.strict_json import NotStrict, read_object
from migration_sidecar.engine.engine import Engine

log = logging.getLogger(__name__)

MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")  # how pydantic shows a word of a list that may be chosen from
BODY_BYTES = 64 * 1024
LONGEST_LOADING_SECONDS = 10.0  # then the answer is that it still loads
LONGEST_WAIT_SECONDS = 25.0  # below the 30 s that Dapr's resiliency file gives a call


async def _answered_soon() -> AsyncIterator[None]:
    with at_most(LONGEST_LOADING_SECONDS):
        yield


router = APIRouter(dependencies=[Depends(_answered_soon)])


class PlanQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Asked = Action.UPGRADE
    target: str = Field(default="head", pattern=r"^[A-Za-z0-9_.]{1,255}$")
    sql: bool = False


class NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WaitQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wait_seconds: float = Field(default=0, ge=0, le=LONGEST_WAIT_SECONDS)


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


@router.get("/migrations", response_model_exclude_none=True)
async def status(request: Request, _: Annotated[NoQuery, Query()]) -> ServiceStatus:
    engine = _engine(request)
    answer = await engine.reader.status()
    engine.expect_from(answer)
    return answer


@router.get("/migrations/plan", response_model_exclude_none=True)
async def plan(request: Request, query: Annotated[PlanQuery, Query()]) -> MigrationPlan:
    engine = _engine(request)
    answer = await engine.reader.plan(query.action, query.target)
    engine.expect(answer)
    if (no := objection(engine.settings, query.action, query.target)) is not None:
        answer = answer.model_copy(update={"obstacles": [no.problem, *answer.obstacles]})
    return await engine.scripts.with_sql(answer) if query.sql else answer


@router.post("/migrations/operations", status_code=202, response_model_exclude_none=True)
async def accept(request: Request, query: Annotated[WaitQuery, Query()]) -> Operation:
    body = await read_body(request, BODY_BYTES)
    read_object(body)
    try:
        wanted = OperationRequest.model_validate_json(body)
    except ValidationError as error:
        raise refused(error) from None
    engine = _engine(request)
    operation = await engine.operations.accept(wanted)
    if query.wait_seconds and not operation.state.ended:
        return await engine.operations.find(wanted.operation_id, wait_seconds=query.wait_seconds)
    return operation


@router.get("/migrations/operations/{operation_id}", response_model_exclude_none=True)
async def operation(request: Request, operation_id: OperationId, query: Annotated[WaitQuery, Query()]) -> Operation:
    return await _engine(request).operations.find(operation_id, wait_seconds=query.wait_seconds)


@router.delete("/migrations/operations/{operation_id}", response_model_exclude_none=True)
async def cancel(request: Request, operation_id: OperationId) -> Operation:
    return await _engine(request).operations.cancel(operation_id)


@router.get("/healthz")
async def live() -> dict[str, str]:
    """No I/O, so that a long migration or a database that is away never gets this process killed."""
    return {"status": "alive"}


@router.get("/readyz")
async def ready(request: Request, response: Response) -> dict[str, Any]:
    is_ready, reason = await _engine(request).startup.readiness()
    response.status_code = 200 if is_ready else 503
    # What a service has to say besides, such as that the audit is not being signed; traffic may come all the same.
    remarks = [remark() for remark in getattr(request.app.state, "remarks", ())]
    return {"ready": is_ready, "reason": " ".join(filter(None, [reason, *remarks]))}


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Counts while it reads, because Content-Length may be absent or a lie; raises BodyTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
    return bytes(body)


def sentence(error: ValidationError | RequestValidationError) -> str:
    """The first thing that is wrong, without the value that was sent."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body")) or "the body"
    return f"{where}: {MEMBER.sub(lambda found: found[1], first['msg']).rstrip('.')}."


def refused(error: ValidationError | RequestValidationError) -> ProblemError:
    """A target is refused as a target, in whatever way it is none."""
    first = error.errors()[0]
    if "target" in first["loc"][-1:] and isinstance(target := first.get("input"), str):
        return UnknownTarget(target)
    return BadRequest(sentence(error))


def install_error_pages(app: FastAPI) -> None:
    """Every refusal, also FastAPI's own, leaves as application/problem+json."""

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, error: ProblemError) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(NotStrict)
    async def _not_strict(_: Request, error: NotStrict) -> JSONResponse:
        return problem_response(ProblemError(error.code, str(error)))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(refused(error))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail).rstrip(".") + "."
        return problem_response(
            ProblemError("CM-603", detail, next_step="See docs/api.md for the routes.", status=error.status_code)
        )

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected", exc_info=error)
        return problem_response(ProblemError("CM-901", "The service's log has the details."))


def problem_response(error: ProblemError) -> JSONResponse:
    content = {"type": "about:blank", "status": error.status, **error.problem.model_dump(exclude_none=True)}
    return JSONResponse(content, status_code=error.status, media_type="application/problem+json")
