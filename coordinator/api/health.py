"""Live, ready, and a few numbers; live never does I/O, so that a slow store never gets the process killed."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest

from coordinator.api.metrics import CoordinatorMetrics
from coordinator.api.schemas import Readiness
from coordinator.errors import CoordinatorError
from coordinator.runs.intake import RequestIntake
from coordinator.runs.recovery_loop import RecoveryLoop
from coordinator.runs.repository import RunRepository
from coordinator.unavailable import WorkflowUnavailable
from migration_sidecar.http_server.liveness import Liveness
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.problem_response import problem_response


def routes(
    *, runs: RunRepository, is_worker_connected: Callable[[], bool], sweep: RecoveryLoop, reception: RequestIntake
) -> APIRouter:
    router = APIRouter()
    damage = runs.damage
    registry = CollectorRegistry()  # of this application: the library's own is shared by all of a process
    registry.register(CoordinatorMetrics(sweep, reception, is_worker_connected))

    @router.get("/healthz")
    async def live() -> Liveness:
        return Liveness()

    @router.get("/readyz", responses={200: answer(Readiness), **problems(503)})
    async def ready() -> JSONResponse:
        try:
            await runs.index()
            if not is_worker_connected():
                raise WorkflowUnavailable("its worker is not connected to the sidecar, or the engine takes no turn")
            if stuck := sorted(sweep.recovery.not_starting):
                raise WorkflowUnavailable(f"{len(stuck)} accepted and not started, {stuck[0]} among them")
        except CoordinatorError as error:
            return problem_response(error.problem(), 503)
        # An audit that is away keeps nobody from asking; that nothing new starts meanwhile is said here.
        facts = {"status": "ready", "audit": sweep.audit_trail.as_json()}
        # A damaged document keeps nobody from anything else either; a person should look at it.
        return JSONResponse({**facts, "damaged": damage.copies} if damage.copies else facts)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def numbers() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router
