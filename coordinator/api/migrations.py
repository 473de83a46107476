"""The HTTP API for runs and plans. Bodies are parsed by `domain.request`, which is stricter than FastAPI."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator

from coordinator.api.bearer_tokens import HEADER as TOKEN_HEADER
from coordinator.api.http import require_plain_json
from coordinator.api.requesters import CallRequesters, NotProven
from coordinator.api.schemas import (
    PAGE,
    FleetPlanDocument,
    MigrationRequestBody,
    PlanQuery,
    RunPage,
    RunQuery,
    RunRecord,
    RunsQuery,
)
from coordinator.audit.rejection_lookup import RejectionLookup
from coordinator.domain.catalog import Catalog
from coordinator.domain.plan import plan_digest
from coordinator.domain.request import read_request, request_id_for_call
from coordinator.domain.request_parsing.request_json import MAXIMUM_BYTES, read_object
from coordinator.domain.run import Run
from coordinator.errors import (
    BadField,
    BadRequestId,
    BodyTooLarge,
    CoordinatorError,
    NoSuchRun,
    quote_for_message,
)
from coordinator.ports import FleetMessenger
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.intake import RequestIntake
from coordinator.runs.repository import RunRepository
from coordinator.steps.fleet_plan import collect_fleet_plan, steps_of
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.http_server.openapi import answer, json_body, problems
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE
from signed_calls.signature import SIGNATURE_HEADER

# Seconds. Writes of other replicas do not notify this process, so the store is read again.
RECHECK_SECONDS = 1.0
REQUESTED = json_body(MigrationRequestBody, {"services": "all", "reason": "release 41", "dry_run": True})
ACCEPTED = answer(
    RunRecord, headers={"Location": {"schema": {"type": "string", "pattern": "^/migrations/"}, "required": True}}
)


def checked_request_id(text: str) -> str:
    """The text, if it is a request id; raises CM-103."""
    if not REQUEST_ID.fullmatch(text):
        raise BadRequestId(f"{quote_for_message(text)} is not of the form [A-Za-z0-9_-]{{1,64}}")
    return text


# Not a pattern for Pydantic, because a bad request id has its own code, CM-103.
RequestId = Annotated[
    str, AfterValidator(checked_request_id), Path(json_schema_extra={"pattern": f"^{REQUEST_ID.pattern}$"})
]


@dataclass(frozen=True)
class ApiDependencies:
    """What the routes need; app.py puts it together."""

    intake: RequestIntake
    runs: RunRepository
    change_notifier: ChangeNotifier
    catalog: Catalog
    messenger: FleetMessenger
    requesters: CallRequesters
    rejection_lookup: RejectionLookup | None = None


def routes(dependencies: ApiDependencies) -> APIRouter:
    """The routes /migrations and /plans; called by app.py."""
    router = APIRouter()
    reader = Depends(dependencies.requesters.require_reader)

    @router.post(
        "/migrations",
        status_code=202,
        responses={202: ACCEPTED, **problems(400, 401, 403, 409, 413, 422, 503)},
        openapi_extra=REQUESTED,
    )
    async def request_migration(request: Request) -> Response:
        run = await _accept_request(dependencies, request)
        return JSONResponse(run.public(), status_code=202, headers={"location": f"/migrations/{run.request_id}"})

    @router.get(
        "/migrations",
        dependencies=[reader, EACH_PARAMETER_ONCE],
        responses={200: answer(RunPage), **problems(401, 403, 422, 503)},
    )
    async def list_runs(query: Annotated[RunsQuery, Query()]) -> Response:
        names = None if query.service is None else dependencies.catalog.names_of(query.service)
        return JSONResponse(await _page(dependencies.runs, query.state, names, query.limit, query.cursor))

    @router.get(
        "/migrations/{request_id}",
        dependencies=[reader, EACH_PARAMETER_ONCE],
        responses={200: answer(RunRecord), **problems(400, 401, 403, 404, 422, 502, 503)},
    )
    async def show_run(request_id: RequestId, query: Annotated[RunQuery, Query()]) -> Response:
        run = await _wait_for_change(dependencies, request_id, query.wait_seconds, query.after_version or None)
        return JSONResponse(run.public())

    @router.post(
        "/plans",
        dependencies=[reader, EACH_PARAMETER_ONCE],
        responses={200: answer(FleetPlanDocument), **problems(400, 401, 403, 413, 422, 502, 503)},
        openapi_extra=REQUESTED,
    )
    async def show_plan(request: Request, query: Annotated[PlanQuery, Query()]) -> Response:
        require_plain_json(request)
        body = read_object(await read_body(request, MAXIMUM_BYTES, BodyTooLarge))
        asked = read_request(body, default_request_id=request_id_for_call())
        chosen = dependencies.catalog.select(asked)
        plan = await collect_fleet_plan(dependencies.messenger, chosen, asked, with_sql=query.sql)
        digest = plan_digest(steps_of(plan, chosen, chosen, asked, dependencies.catalog), asked)
        obstacles = [obstacle.model_dump(mode="json") for obstacle in plan.obstacles]
        plans = [one.model_dump(mode="json", by_alias=True) for one in plan.plans]
        return JSONResponse({"digest": digest, "services": plans, "obstacles": obstacles})

    return router


async def _accept_request(dependencies: ApiDependencies, request: Request) -> Run:
    """Accepts the request, or records its refusal in the audit and raises it."""
    body, requester = b"", None
    try:
        requester = await dependencies.requesters.identify(request)
        if request.query_params:
            raise BadField("There are no parameters here.")
        require_plain_json(request)
        body = await read_body(request, MAXIMUM_BYTES, BodyTooLarge)
        is_named = requester.name is not None
        default_id = request_id_for_call(request.headers.get(SIGNATURE_HEADER) if is_named else None)
        asked = read_request(read_object(body), default_request_id=default_id)
        return await dependencies.intake.accept(asked, requester)
    except NotProven as error:
        await dependencies.intake.refuse_verb(_unproven_key(request, error), error)
        raise
    except CoordinatorError as error:
        sent = sha256(body).hexdigest()
        await dependencies.intake.refuse_verb(("call", error.code, sent), error, requester, body_sha256=sent)
        raise


def _unproven_key(request: Request, error: NotProven) -> tuple[str, ...]:
    """Tells such calls apart without reading their bodies: by their kind, and by the proof that was sent."""
    if error.is_of_a_token:
        proofs = [sha256(each.encode()).hexdigest() for each in request.headers.getlist(TOKEN_HEADER)]
    else:
        proofs = request.headers.getlist(SIGNATURE_HEADER)
    return ("call", error.code, error.kind.value, *proofs[:1])


async def _wait_for_change(
    dependencies: ApiDependencies, request_id: str, wait_seconds: int, after_version: int | None
) -> Run:
    """The run once it is newer than `after_version`, or than at the call; after `wait_seconds` the run as it is."""
    run = await _existing_run(dependencies, request_id)
    known = run.version if after_version is None else after_version
    deadline = time.monotonic() + wait_seconds
    while run.version <= known and not _is_recorded(run) and (remaining := deadline - time.monotonic()) > 0:
        told = await dependencies.change_notifier.wait(request_id, min(remaining, RECHECK_SECONDS))
        delivered = dependencies.runs.deliveries.apply(run)
        run = told or (delivered if _is_recorded(delivered) else await _existing_run(dependencies, request_id))
    return run


def _is_recorded(run: Run) -> bool:
    """Whether it has ended and the audit has all of it: nothing that a reader waits for will change any more."""
    return run.state.terminal and run.audit == "recorded"


async def _existing_run(dependencies: ApiDependencies, request_id: str) -> Run:
    if (run := await dependencies.runs.read(request_id)) is not None:
        return run
    lookup = dependencies.rejection_lookup
    raise NoSuchRun(request_id) if lookup is None else await lookup.explained(request_id)


async def _page(
    runs: RunRepository, state: str | None, services: frozenset[str] | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Newest first. The cursor is the last id of the page before, so new runs do not shift the pages."""
    ids = (await runs.index()).recent
    if cursor is not None:
        if cursor not in ids:
            raise BadField(f"cursor = {quote_for_message(cursor)} is not one that a page ended with.")
        ids = ids[ids.index(cursor) + 1 :]
    matching: list[Run] = []
    damaged: list[str] = []
    for start in range(0, len(ids), PAGE):
        records = await runs.read_many(ids[start : start + PAGE])
        damaged += records.damaged
        matching += [run for run in records.runs if _matches(run, state, services)]
        if len(matching) >= limit:
            break
    shown, last = matching[:limit], matching[limit - 1].request_id if len(matching) >= limit else None
    page = {"runs": [run.public() for run in shown], "next_cursor": None if not ids or last == ids[-1] else last}
    return {**page, "damaged": damaged} if damaged else page


def _matches(run: Run, state: str | None, services: frozenset[str] | None) -> bool:
    involved = services is None or any(step.service in services for step in run.steps)
    return involved and (state is None or run.state == state)
