"""Whether the service lives and may take traffic. Open for every program: a probe has no key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from migration_sidecar.api.routes import Loading, engine_of
from migration_sidecar.http_server.liveness import Liveness
from migration_sidecar.http_server.openapi import answer
from migration_sidecar.http_server.proven_caller import CallPolicy
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

router = APIRouter(dependencies=[EACH_PARAMETER_ONCE])


class Readiness(BaseModel):
    """Whether the service may take traffic, and the reason. If it is ready, `reason` may be a remark."""

    ready: bool
    reason: str


@router.get("/healthz")
async def live() -> Liveness:
    """Reads nothing, so that a long migration or an unreachable database does not make the process look dead."""
    return Liveness()


@router.get("/readyz", responses={503: answer(Readiness)})
async def ready(request: Request, response: Response, loading: Loading) -> Readiness:
    """Whether the service may take traffic: 200 if it may, otherwise 503."""
    is_ready, reason = await engine_of(request).startup.readiness(loading)
    response.status_code = 200 if is_ready else 503
    # Remarks of the service, such as that the audit is not signed. They do not make it unready.
    remarks = [remark() for remark in getattr(request.app.state, "remarks", ())]
    policy: CallPolicy = request.app.state.call_policy
    return Readiness(ready=is_ready, reason=" ".join(filter(None, [reason, *remarks, policy.remark])))
