"""The routes of the migration sidecar endpoint. Unknown parameters and keys are refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from migration_sidecar.api.callers import COORDINATOR, MIGRATION_CALLER
from migration_sidecar.config.downgrade_permission import DowngradeNotApproved, downgrade_refusal
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
from migration_sidecar.http_server.openapi import json_body, problems
from migration_sidecar.http_server.proven_caller import NOT_PROVEN
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE, first_mistake
from signed_calls.verification import Caller

BODY_BYTES = 64 * 1024
LONGEST_LOADING_SECONDS = 10.0  # then the answer is CM-308: it is still loading
LONGEST_WAIT_SECONDS = 25.0  # below the 30 s after which callers of ours give up


async def _load_deadline() -> LoadDeadline:
    return LoadDeadline.after(LONGEST_LOADING_SECONDS)


Loading = Annotated[LoadDeadline, Depends(_load_deadline)]
# First who calls: whoever is not proven learns nothing about the request.
router = APIRouter(dependencies=[MIGRATION_CALLER, EACH_PARAMETER_ONCE], responses=NOT_PROVEN)


class PlanQuery(QueryParameters):
    """The parameters of GET /migrations/plan."""

    action: RequestableAction = Action.UPGRADE
    target: RequestableTarget = "head"
    sql: TrueOrFalse = False
    beside_other_tables: TrueOrFalse = False


class WaitQuery(QueryParameters):
    """How long to wait for the end of an operation, in seconds."""

    wait_seconds: Number = Field(default=0, ge=0, le=LONGEST_WAIT_SECONDS)


def engine_of(request: Request) -> Engine:
    """The engine of this application."""
    engine: Engine = request.app.state.engine
    return engine


@router.get("/migrations", response_model_exclude_none=True, responses=problems(409, 422, 503))
async def status(request: Request, _: Annotated[NoParameters, Query()], loading: Loading) -> ServiceStatus:
    """The state of the database. If revisions are pending, a worker process is prepared for the next request."""
    engine = engine_of(request)
    current = await engine.reader.status(loading)
    engine.prewarm_for(current)
    return current


@router.get("/migrations/plan", response_model_exclude_none=True, responses=problems(409, 422, 503))
async def plan(request: Request, query: Annotated[PlanQuery, Query()], loading: Loading) -> MigrationPlan:
    """What a migration would do. If it has revisions and no obstacle, a worker process is prepared."""
    if query.action is Action.DOWNGRADE and "@" in query.target:
        raise UnknownTarget(query.target)  # as for an operation: only the command line takes one branch down
    engine = engine_of(request)
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
async def accept(
    request: Request,
    query: Annotated[WaitQuery, Query()],
    loading: Loading,
    caller: Annotated[Caller | None, MIGRATION_CALLER],
) -> Operation:
    """Accepts an operation and starts it. The same request again returns the same operation."""
    document = read_object(await read_body(request, BODY_BYTES, BodyTooLarge))
    try:
        wanted = OperationRequest.model_validate(document)
    except ValidationError as error:
        raise validation_problem(error) from None
    engine = engine_of(request)
    if wanted.action is Action.DOWNGRADE and caller is not None and caller.name not in COORDINATOR:
        raise DowngradeNotApproved(engine.settings.service, caller.name)
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
    return await engine_of(request).operations.find(operation_id, wait_seconds=query.wait_seconds, loading=loading)


@router.delete(
    "/migrations/operations/{operation_id}", response_model_exclude_none=True, responses=problems(404, 409, 422, 503)
)
async def cancel(
    request: Request,
    operation_id: OperationId,
    loading: Loading,
    caller: Annotated[Caller | None, MIGRATION_CALLER],
) -> Operation:
    """Cancels an operation. It ends at a whole revision, and its journal names the caller who was proven."""
    name = caller.name if caller is not None else None
    return await engine_of(request).operations.cancel(operation_id, loading, cancelled_by=name)


def validation_problem(error: ValidationError | RequestValidationError) -> ProblemError:
    """UnknownTarget for a target that is not valid, BadRequest for any other mistake."""
    first = error.errors()[0]
    if "target" in first["loc"][-1:] and isinstance(target := first.get("input"), str):
        return UnknownTarget(target)
    return BadRequest(first_mistake(error))
