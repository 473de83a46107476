"""The routes of the migration sidecar endpoint. Unknown parameters and keys are refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from migration_sidecar.config.downgrade_permission import downgrade_refusal
from migration_sidecar.contract.errors import BadRequest, BodyTooLarge, ProblemError, UnknownTarget
from migration_sidecar.contract.messages import (
    Action,
    MigrationPlan,
    Operation,
    OperationId,
    OperationRequest,
    RequestableAction,
    ServiceStatus,
)
from migration_sidecar.contract.query_parameters import NoParameters, Number, QueryParameters, TrueOrFalse
from migration_sidecar.contract.strict_json import read_object
from migration_sidecar.contract.target import RequestableTarget
from migration_sidecar.database.load_deadline import LoadDeadline
from migration_sidecar.engine.engine import Engine
from migration_sidecar.http_server.liveness import Liveness
from migration_sidecar.http_server.openapi import answer, json_body, problems
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE, first_mistake

BODY_BYTES = 64 * 1024
LONGEST_LOADING_SECONDS = 10.0  # then the answer is CM-308: it is still loading
LONGEST_WAIT_SECONDS = 25.0  # below the timeout of 30 s in Dapr's resiliency file


def _load_deadline() -> LoadDeadline:
    return LoadDeadline.after(LONGEST_LOADING_SECONDS)


Loading = Annotated[LoadDeadline, Depends(_load_deadline)]
router = APIRouter(dependencies=[EACH_PARAMETER_ONCE])


class PlanQuery(QueryParameters):
    """The parameters of GET /migrations/plan."""

    action: RequestableAction = Action.UPGRADE
    target: RequestableTarget = "head"
    sql: TrueOrFalse = False
    beside_other_tables: TrueOrFalse = False


class WaitQuery(QueryParameters):
    """How long to wait for the end of an operation, in seconds."""

    wait_seconds: Number = Field(default=0, ge=0, le=LONGEST_WAIT_SECONDS)


class Readiness(BaseModel):
    """Whether the service may take traffic, and the reason. If it is ready, `reason` may be a remark."""

    ready: bool
    reason: str


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


@router.get("/migrations", response_model_exclude_none=True, responses=problems(409, 422, 503))
async def status(request: Request, _: Annotated[NoParameters, Query()], loading: Loading) -> ServiceStatus:
    """The state of the database. If revisions are pending, a worker process is prepared for the next request."""
    engine = _engine(request)
    current = await engine.reader.status(loading)
    engine.prewarm_for(current)
    return current


@router.get("/migrations/plan", response_model_exclude_none=True, responses=problems(409, 422, 503))
async def plan(request: Request, query: Annotated[PlanQuery, Query()], loading: Loading) -> MigrationPlan:
    """What a migration would do. If it has revisions and no obstacle, a worker process is prepared."""
    if query.action is Action.DOWNGRADE and "@" in query.target:
        raise UnknownTarget(query.target)  # as for an operation: only the command line takes one branch down
    engine = _engine(request)
    current = await engine.reader.plan(
        query.action, query.target, loading, beside_other_tables=query.beside_other_tables
    )
    engine.prewarm(current)
    if (no := downgrade_refusal(engine.settings, query.action, query.target)) is not None:
        current = current.model_copy(update={"obstacles": [no.problem, *current.obstacles]})
    return await engine.revision_files.with_sql(current) if query.sql else current


@router.post(
    "/migrations/operations",
    status_code=202,
    response_model_exclude_none=True,
    responses=problems(400, 409, 413, 422, 503),
    openapi_extra=json_body(OperationRequest, {"operation_id": "by-hand-1", "target": "head", "requested_by": "you"}),
)
async def accept(request: Request, query: Annotated[WaitQuery, Query()], loading: Loading) -> Operation:
    """Accepts an operation and starts it. The same request again returns the same operation."""
    document = read_object(await read_body(request, BODY_BYTES, BodyTooLarge))
    try:
        wanted = OperationRequest.model_validate(document)
    except ValidationError as error:
        raise validation_problem(error) from None
    engine = _engine(request)
    operation = await engine.operations.accept(wanted, loading=loading)
    if query.wait_seconds and not operation.state.ended:
        return await engine.operations.find(wanted.operation_id, wait_seconds=query.wait_seconds, loading=loading)
    return operation


@router.get(
    "/migrations/operations/{operation_id}", response_model_exclude_none=True, responses=problems(404, 409, 422, 503)
)
async def operation(
    request: Request, operation_id: OperationId, query: Annotated[WaitQuery, Query()], loading: Loading
) -> Operation:
    """One operation. With `wait_seconds` the answer waits for its end."""
    return await _engine(request).operations.find(operation_id, wait_seconds=query.wait_seconds, loading=loading)


@router.delete(
    "/migrations/operations/{operation_id}", response_model_exclude_none=True, responses=problems(404, 409, 422, 503)
)
async def cancel(request: Request, operation_id: OperationId, loading: Loading) -> Operation:
    """Cancels an operation. It ends at a whole revision."""
    return await _engine(request).operations.cancel(operation_id, loading)


@router.get("/healthz")
async def live() -> Liveness:
    """Reads nothing, so that a long migration or an unreachable database does not make the process look dead."""
    return Liveness()


@router.get("/readyz", responses={503: answer(Readiness)})
async def ready(request: Request, response: Response, loading: Loading) -> Readiness:
    """Whether the service may take traffic: 200 if it may, otherwise 503."""
    is_ready, reason = await _engine(request).startup.readiness(loading)
    response.status_code = 200 if is_ready else 503
    # Remarks of the service, such as that the audit is not signed. They do not make it unready.
    remarks = [remark() for remark in getattr(request.app.state, "remarks", ())]
    return Readiness(ready=is_ready, reason=" ".join(filter(None, [reason, *remarks])))


def validation_problem(error: ValidationError | RequestValidationError) -> ProblemError:
    """UnknownTarget for a target that is not valid, BadRequest for any other mistake."""
    first = error.errors()[0]
    if "target" in first["loc"][-1:] and isinstance(target := first.get("input"), str):
        return UnknownTarget(target)
    return BadRequest(first_mistake(error))
