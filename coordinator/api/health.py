"""Liveness, readiness and metrics. Liveness does no I/O, so that a slow store does not get the process killed."""

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
    *, runs: RunRepository, is_worker_connected: Callable[[], bool], recovery_loop: RecoveryLoop, intake: RequestIntake
) -> APIRouter:
    """The routes /healthz, /readyz and /metrics; called by app.py."""
    router = APIRouter()
    damaged_documents = runs.damaged_documents
    registry = CollectorRegistry()  # one for each application: the default registry is shared by the whole process
    registry.register(CoordinatorMetrics(recovery_loop, intake, is_worker_connected))

    @router.get("/healthz")
    async def live() -> Liveness:
        return Liveness()

    @router.get("/readyz", responses={200: answer(Readiness), **problems(503)})
    async def ready() -> JSONResponse:
        try:
            await runs.index()
            if not is_worker_connected():
                raise WorkflowUnavailable("its worker is not connected to the sidecar, or the engine takes no turn")
            if stuck := sorted(recovery_loop.recovery.not_starting):
                raise WorkflowUnavailable(f"{len(stuck)} accepted and not started, {stuck[0]} among them")
        except CoordinatorError as error:
            return problem_response(error.problem(), 503)
        # Requests are accepted also while the audit is unavailable; no step starts meanwhile, and the answer says so.
        facts = {"status": "ready", "audit": recovery_loop.audit_trail.as_json()}
        # A damaged document does not stop the service; an operator should check it.
        return JSONResponse({**facts, "damaged": damaged_documents.copies} if damaged_documents.copies else facts)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router
