"""GET /fleet: where every database is, and which services have left."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from coordinator.api.requesters import CallRequesters
from coordinator.api.schemas import FleetDocument
from coordinator.audit.availability import MonitoredAuditTrail
from coordinator.audit.drift import DriftRecorder
from coordinator.domain.catalog import Catalog, FormerService, Service
from coordinator.errors import CoordinatorError
from coordinator.ports import FleetMessenger, ServiceAddress
from migration_sidecar.contract.query_parameters import NoParameters
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE


def routes(
    *,
    catalog: Catalog,
    messenger: FleetMessenger,
    drift_recorder: DriftRecorder,
    audit_trail: MonitoredAuditTrail,
    requesters: CallRequesters,
) -> APIRouter:
    """The route; called by app.py."""
    router = APIRouter(dependencies=[Depends(requesters.require_reader), EACH_PARAMETER_ONCE])

    @router.get("/fleet", responses={200: answer(FleetDocument), **problems(401, 403, 422, 503)})
    async def show_fleet(_: Annotated[NoParameters, Query()]) -> Response:
        rows = await asyncio.gather(*(_service_row(messenger, drift_recorder, each) for each in catalog.services))
        former = [_former_service_row(service) for service in catalog.former_services]
        document = {"fleet": catalog.fleet.name, "services": rows, "audit": audit_trail.as_json()}
        return JSONResponse(document | ({"former_services": former} if former else {}))

    return router


def _former_service_row(service: FormerService) -> dict[str, str]:
    until = service.until.isoformat()
    return {"service": service.name, "left": service.left.isoformat(), "until": until, "reason": service.reason}


async def _service_row(messenger: FleetMessenger, drift_recorder: DriftRecorder, service: Service) -> dict[str, Any]:
    row: dict[str, Any] = {"service": service.name, "database": service.database, "reachable": False}
    row |= {
        name: names
        for name, names in (("former_names", service.former_names), ("former_databases", service.former_databases))
        if names
    }
    if service.database is None:
        return {**row, "state": "no_database", "reason": service.no_database}
    try:
        status = await messenger.status(ServiceAddress(service.name, service.database))
    except CoordinatorError as error:
        return {**row, "state": "unreachable", "error": error.problem().model_dump(mode="json")}
    drift_recorder.record(status)
    behind = len(status.pending) if status.head_revisions else None
    return {**row, "reachable": True, "behind": behind, **status.model_dump(mode="json")}
