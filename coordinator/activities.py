"""What the workflow orders to be done. Each may run twice, even at the same time, and ends the same."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator.audit.drift import CODES, Drift
from coordinator.audit.outbox_relay import Relay
from coordinator.domain import run as runs_domain
from coordinator.domain.catalog import Catalog, Service
from coordinator.domain.outcome import Outcome, nothing_conclusive
from coordinator.domain.plan import FleetPlan, step_of
from coordinator.domain.run import Change, Run
from coordinator.domain.run_state import RunState
from coordinator.domain.schedule import Course, Report
from coordinator.domain.step import Step, StepState
from coordinator.errors import CoordinatorError, InternalError, NoSuchRun
from coordinator.ports import Address, Clock
from coordinator.runs.repository import Runs
from coordinator.runs.workflow_progress import Activities
from coordinator.steps.fleet_plan import survey
from coordinator.steps.step_executor import Commander
from coordinator.unavailable import AuditNotReady, AuditUnavailable, DocumentTooLarge, SidecarUnreachable

log = logging.getLogger(__name__)

AUDIT_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Tools:
    """What activities work with; app.py alone puts it together."""

    runs: Runs
    relay: Relay
    commander: Commander
    catalog: Catalog
    clock: Clock
    drift: Drift
    activities: Activities = field(default_factory=Activities)
    planning_patience_seconds: float = 10.0
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def deliver_meanwhile(self, run: Run) -> None:
        """Telling others costs no step any time; what cannot be delivered now stays in the record."""
        task = asyncio.create_task(self._deliver(run))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _deliver(self, run: Run) -> None:
        with suppress(AuditUnavailable, SidecarUnreachable):
            await self.relay.record(run)
            await self.relay.announce(run)


class Activity(Protocol):
    """An order in, a report out; both travel through the workflow's history."""

    __name__: str

    async def __call__(self, order: dict[str, Any], *, tools: Tools) -> dict[str, Any]: ...


async def visibly(activity: Activity, order: dict[str, Any], *, tools: Tools) -> dict[str, Any]:
    """Any activity, with a mistake of our own told in the run record as well: Dapr repeats it without end."""
    try:
        with tools.activities.doing(order["request_id"]):
            return await activity(order, tools=tools)
    except CoordinatorError:
        raise
    except Exception:
        log.exception("activity_failed", extra={"request_id": order["request_id"], "activity": activity.__name__})
        why = f"{InternalError().detail} It is tried again; the reason is in the coordinator's log."
        with suppress(CoordinatorError):
            await tools.runs.change(order["request_id"], lambda run: runs_domain.waiting(run, why))
        raise


async def make_plan(order: dict[str, Any], *, tools: Tools) -> dict[str, Any]:
    """Plans the run unless that is done; a catalog changed tomorrow cannot alter a run begun today."""
    run = await tools.runs.read(order["request_id"])
    if run is None:
        # The record is written before the workflow is scheduled: without one there is nothing to carry out.
        log.error("workflow_without_run", extra={"request_id": order["request_id"]})
        return Course(legs=[], ended=True).model_dump(mode="json")
    if run.state is RunState.ACCEPTED:
        run = await _planned(run, tools)
        tools.deliver_meanwhile(run)
    return Course.of(run).model_dump(mode="json")


async def carry_out(order: dict[str, Any], *, tools: Tools) -> dict[str, Any]:
    """Begins a step, records that, has the service carry it out, and records what became of it."""
    request_id, service = order["request_id"], order["service"]
    run = await _existing(request_id, tools)
    if run.step(service).state is StepState.PENDING:
        run = await _begun(run, service, tools)
    if run.step(service).state is not StepState.RUNNING:
        return _report(run.step(service))
    tools.deliver_meanwhile(run)
    async for outcome in tools.commander.carry_out(run, service):
        run = await _told(request_id, service, outcome, tools)
        if run.step(service).state is not StepState.RUNNING:
            break
    # Overlaps with Dapr's way to the next step, which looks whether it arrived.
    tools.deliver_meanwhile(run)
    return _report(run.step(service))


async def finish(order: dict[str, Any], *, tools: Tools) -> dict[str, Any]:
    """Ends the run and delivers what it still owes; answers whether nothing is left to do."""
    request_id = order["request_id"]
    run = await tools.runs.read(request_id)
    if run is None:
        return {"settled": True}
    run = await tools.runs.change(request_id, lambda run: runs_domain.finished(tools.relay.struck(run), tools.clock()))
    try:
        await tools.relay.record(run)
    except (AuditUnavailable, SidecarUnreachable) as error:
        why = error.problem().detail
        await tools.runs.change(request_id, lambda run: runs_domain.waiting(run, why))
        return {"settled": False}
    _, announced = await asyncio.gather(
        tools.runs.change(request_id, lambda run: runs_domain.waiting(tools.relay.struck(run), None)),
        tools.relay.announce(run),
    )
    run = await tools.runs.change(request_id, tools.relay.struck)
    if announced and run.settled:
        await tools.runs.leave([request_id])
        tools.relay.forget(request_id)
    return {"settled": announced and run.settled}


async def _begun(run: Run, service: str, tools: Tools) -> Run:
    """Nothing new starts before everything that happened so far is in the audit; the record says so meanwhile."""
    try:
        await tools.relay.record(run)
    except (AuditUnavailable, SidecarUnreachable) as error:
        if not _may_go_first(run.step(service), error, tools.catalog):
            why = f"{error.problem().detail} Nothing new starts until the audit can be written."
            return await tools.runs.change(run.request_id, lambda run: runs_domain.waiting(run, why))
    return await tools.runs.change(
        run.request_id, lambda run: runs_domain.step_begun(tools.relay.struck(run), service, tools.clock())
    )


async def _told(request_id: str, service: str, outcome: Outcome, tools: Tools) -> Run:
    """An outcome that the record cannot hold is told as one that nobody can conclude anything from."""
    try:
        return await tools.runs.change(request_id, _telling(service, outcome, tools))
    except DocumentTooLarge as error:
        inconclusive = nothing_conclusive(error.problem().model_copy(update={"service": service}))
        return await tools.runs.change(request_id, _telling(service, inconclusive, tools))


def _telling(service: str, outcome: Outcome, tools: Tools) -> Change:
    return lambda run: runs_domain.step_told(tools.relay.struck(run), service, outcome, tools.clock())


async def _existing(request_id: str, tools: Tools) -> Run:
    run = await tools.runs.read(request_id)
    if run is None:
        raise NoSuchRun(request_id)
    return run


async def _planned(run: Run, tools: Tools) -> Run:
    try:
        chosen = tools.catalog.chosen(run.request)
    except CoordinatorError as error:
        # Accepted under another catalog: say so in the run instead of failing the workflow for ever.
        plan, steps = FleetPlan(plans=[], obstacles=[error.problem()]), []
    else:
        plan = await survey(
            tools.commander.messenger, chosen, run.request, patience_seconds=tools.planning_patience_seconds
        )
        steps = [_step(service, chosen, plan, run, tools.catalog) for service in chosen]
        drifted = {obstacle.service for obstacle in plan.obstacles if obstacle.code in CODES}
        found = [Address(each.name, each.database or "") for each in chosen if each.name in drifted]
        await tools.drift.look(tools.commander.messenger, found)
    try:
        return await tools.runs.change(run.request_id, lambda run: runs_domain.planned(run, plan, steps, tools.clock()))
    except DocumentTooLarge as error:
        too_much = FleetPlan(plans=[], obstacles=[error.problem()])
        return await tools.runs.change(
            run.request_id, lambda run: runs_domain.planned(run, too_much, [], tools.clock())
        )


def _step(service: Service, chosen: list[Service], plan: FleetPlan, run: Run, catalog: Catalog) -> Step:
    after = catalog.dependencies(service, chosen)
    return step_of(service, plan.of(service.name), after=after, target=run.request.target_of(service.name))


def _may_go_first(step: Step, error: CoordinatorError, catalog: Catalog) -> bool:
    """Only the audit's own first migration may start before the audit can be written."""
    return step.service == catalog.fleet.audit and (isinstance(error, AuditNotReady) or not step.from_revisions)


def _report(step: Step) -> dict[str, Any]:
    """A step that could not begin is asked for again, but not at once."""
    pause = AUDIT_PAUSE_SECONDS if step.state is StepState.PENDING else 0
    report = Report(service=step.service, state=step.state, again_after_seconds=pause)
    return report.model_dump(mode="json")
