"""Asks all services at once for their plans; whatever prevents an answer becomes an obstacle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pydantic import ValidationError

from coordinator.domain.catalog import Catalog, Service
from coordinator.domain.plan import FleetPlan, assemble, nothing_to_do, step_of
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.errors import CoordinatorError, ServiceLied
from coordinator.ports import FleetMessenger, ServiceAddress
from coordinator.unavailable import ServiceUnreachable
from migration_sidecar.contract.messages import MigrationPlan, OperationRequest, Problem

PAUSE_SECONDS = 0.5


async def plan_run(
    run: Run, catalog: Catalog, messenger: FleetMessenger, *, patience_seconds: float, only: str | None = None
) -> tuple[FleetPlan, list[Step]]:
    """The plan of a run and its pending steps in the order in which they are carried out; raises SidecarUnreachable.

    With `only`, this one service is asked. Where the catalog has changed since the run was accepted, what does not fit
    any more is an obstacle: an error would make the workflow fail for ever.
    """
    try:
        chosen = catalog.select(run.request)
    except CoordinatorError as error:
        return FleetPlan(plans=[], obstacles=[error.problem()]), []
    asked = [service for service in chosen if only in (None, service.name)]
    plan = await collect_fleet_plan(messenger, asked, run.request, patience_seconds=patience_seconds)
    return plan, steps_of(plan, asked, chosen, run.request, catalog)


def steps_of(
    plan: FleetPlan, asked: Sequence[Service], chosen: Sequence[Service], request: MigrationRequest, catalog: Catalog
) -> list[Step]:
    """One pending step for each service that was asked; `chosen` are all services of the request."""
    return [
        step_of(service, plan.of(service.name), request, after=catalog.predecessors(service, chosen, request))
        for service in asked
    ]


async def collect_fleet_plan(
    messenger: FleetMessenger,
    services: Sequence[Service],
    request: MigrationRequest,
    *,
    patience_seconds: float = 0,
    with_sql: bool = False,
) -> FleetPlan:
    """The plans of these services; nothing is touched.

    A service that does not answer is asked again for `patience_seconds`: it may be starting. Raises SidecarUnreachable
    where the coordinator's own daprd is away.
    """
    deadline = time.monotonic() + patience_seconds
    return assemble(
        await asyncio.gather(*(_ask(messenger, service, request, deadline, with_sql) for service in services))
    )


async def _ask(
    messenger: FleetMessenger, service: Service, request: MigrationRequest, deadline: float, with_sql: bool
) -> MigrationPlan | Problem:
    address = ServiceAddress(service.name, service.database or "")
    while True:
        try:
            plan = await messenger.plan(
                address,
                action=request.alembic_action,
                target=service.target_in(request),
                with_sql=with_sql,
                beside_other_tables=service.is_beside_other_tables_in(request),
            )
            return _checked_plan(plan)
        except ServiceUnreachable as error:
            if time.monotonic() > deadline:
                return error.problem()
            await asyncio.sleep(PAUSE_SECONDS)
        except CoordinatorError as error:
            if error.service is None:
                raise  # our own daprd is away: nothing is known about the service
            return error.problem()


def _checked_plan(plan: MigrationPlan) -> MigrationPlan:
    """The plan, if it can be true and its facts fit into an order; raises ServiceLied otherwise."""
    if not plan.obstacles and not plan.revisions and not nothing_to_do(plan):
        raise ServiceLied(plan.service, "its plan leads to another revision without applying any")
    try:
        OperationRequest(
            operation_id="-", target="head", expected_revisions=plan.from_revisions, plan_digest=plan.digest
        )
    except ValidationError:
        raise ServiceLied(plan.service, "its plan names revisions or a digest that no order can carry") from None
    return plan
