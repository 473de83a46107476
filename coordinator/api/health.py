"""Live, ready, and a few numbers; live never does I/O, so that a slow store never gets the process killed."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest

from coordinator.api.http import problem_document
from coordinator.api.metrics import CoordinatorMetrics
from coordinator.errors import CoordinatorError
from coordinator.runs.intake import Reception
from coordinator.runs.recovery_loop import Sweep
from coordinator.runs.repository import Runs
from coordinator.unavailable import WorkflowUnavailable


def routes(*, runs: Runs, is_worker_connected: Callable[[], bool], sweep: Sweep, reception: Reception) -> APIRouter:
    router = APIRouter()
    damage = runs.damage
    registry = CollectorRegistry()  # of this application: the library's own is shared by all of a process
    registry.register(CoordinatorMetrics(sweep, reception, is_worker_connected))

    @router.get("/healthz")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def ready() -> JSONResponse:
        try:
            await runs.index()
            if not is_worker_connected():
                raise WorkflowUnavailable("its worker is not connected to the sidecar, or the engine takes no turn")
            if stuck := sorted(sweep.caretaker.not_starting):
                raise WorkflowUnavailable(f"{len(stuck)} accepted and not started, {stuck[0]} among them")
        except CoordinatorError as error:
            return problem_document(error, 503)
        # An audit that is away keeps nobody from asking; that nothing new starts meanwhile is said here.
        answer = {"status": "ready", "audit": sweep.standing.public()}
        # A damaged document keeps nobody from anything else either; a person should look at it.
        return JSONResponse({**answer, "damaged": damage.found} if damage.found else answer)

    @router.get("/metrics")
    async def numbers() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router
