"""Live, ready, and a few numbers; live never does I/O, so that a slow store never gets the process killed."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from coordinator.api.http import problem_document
from coordinator.errors import CoordinatorError
from coordinator.runs.intake import Reception
from coordinator.runs.recovery_loop import Sweep
from coordinator.runs.repository import Runs
from coordinator.unavailable import WorkflowUnavailable


def routes(*, runs: Runs, is_worker_connected: Callable[[], bool], sweep: Sweep, reception: Reception) -> APIRouter:
    router = APIRouter()
    damage = runs.damage

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
        lines = ["# TYPE coordinator_requests_total counter"]
        for outcome in ("accepted", "conflict", "rejected"):
            lines.append(f'coordinator_requests_total{{outcome="{outcome}"}} {reception.counts[outcome]}')
        lines += ["# TYPE coordinator_open_runs gauge", f"coordinator_open_runs {sweep.open_runs}"]
        lines += ["# TYPE coordinator_still_runs gauge", f"coordinator_still_runs {sweep.still_runs}"]
        audit_away = int(sweep.standing.away_since is not None)
        lines += ["# TYPE coordinator_audit_away gauge", f"coordinator_audit_away {audit_away}"]
        lines += ["# TYPE coordinator_audit_events_waiting gauge"]
        lines += [f"coordinator_audit_events_waiting {sweep.standing.events_waiting}"]
        lines += ["# TYPE coordinator_damaged_documents gauge", f"coordinator_damaged_documents {len(damage.found)}"]
        lines += ["# TYPE coordinator_worker_connected gauge"]
        lines += [f"coordinator_worker_connected {int(is_worker_connected())}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    return router
