"""The activities of the workflow: plan a run, carry out one step, finish the run.

Dapr may run each of them twice, even at the same time; the result is the same. Each takes and returns plain JSON,
because both travel through the workflow's history.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator.audit.drift import DriftRecorder
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.catalog import Catalog
from coordinator.domain.outcome import Outcome, unknown_outcome
from coordinator.domain.plan import FleetPlan
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.schedule import RunSchedule, StepReport
from coordinator.domain.step import Step, StepState
from coordinator.errors import CoordinatorError, InternalError, NoSuchRun
from coordinator.ports import Clock
from coordinator.runs.repository import RunRepository
from coordinator.runs.workflow_progress import RunningActivities
from coordinator.steps.fleet_plan import plan_run
from coordinator.steps.step_executor import StepExecutor
from coordinator.unavailable import AuditNotReady, AuditUnavailable, DocumentTooLarge, SidecarUnreachable

log = logging.getLogger(__name__)

AUDIT_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class ActivityDependencies:
    """The objects that activities use; app.py creates it."""

    runs: RunRepository
    relay: OutboxRelay
    step_executor: StepExecutor
    catalog: Catalog
    clock: Clock
    drift_recorder: DriftRecorder
    running_activities: RunningActivities = field(default_factory=RunningActivities)
    planning_patience_seconds: float = 10.0


class Activity(Protocol):
    """A JSON object in, a JSON object out; `order` always holds `request_id`."""

    __name__: str

    async def __call__(self, order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]: ...


async def report_unexpected_errors(
    activity: Activity, order: dict[str, Any], *, dependencies: ActivityDependencies
) -> dict[str, Any]:
    """Runs any activity. An unexpected error is written into the run record too, because Dapr repeats it without end.

    app.py registers every activity wrapped in this one.
    """
    try:
        with dependencies.running_activities.running(order["request_id"]):
            return await activity(order, dependencies=dependencies)
    except CoordinatorError:
        raise
    except Exception:
        log.exception("activity_failed", extra={"request_id": order["request_id"], "activity": activity.__name__})
        with suppress(CoordinatorError):
            why = f"{InternalError().detail} It is tried again; the reason is in the coordinator's log."
            await _wait_for(order["request_id"], why, dependencies)
        raise


async def make_plan(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Plans an accepted run and returns its schedule.

    A run that has a plan keeps it: a later change of the catalog does not alter it.
    """
    run = await dependencies.runs.read(order["request_id"])
    if run is None:
        # The record is written before the workflow is scheduled: without one there is nothing to carry out.
        log.error("workflow_without_run", extra={"request_id": order["request_id"]})
        return RunSchedule(legs=[], ended=True).model_dump(mode="json")
    if run.state is RunState.ACCEPTED:
        messenger = dependencies.step_executor.messenger
        plan, steps = await plan_run(
            run, dependencies.catalog, messenger, patience_seconds=dependencies.planning_patience_seconds
        )
        await dependencies.drift_recorder.check(messenger, plan, steps)
        run = await _store_plan(run.request_id, plan, steps, dependencies)
        dependencies.relay.deliver_in_background(run)
    return RunSchedule.of(run).model_dump(mode="json")


async def carry_out(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Starts the step of one service, has the service carry it out, records each outcome; returns a StepReport.

    Raises NoSuchRun, SidecarUnreachable, StateUnavailable and StateContended; Dapr then repeats it.
    """
    request_id, service = order["request_id"], order["service"]
    run = await dependencies.runs.read(request_id)
    if run is None:
        raise NoSuchRun(request_id)
    if run.step(service).state is StepState.PENDING:
        run = await _begin_step(run, service, dependencies)
    if run.step(service).state is not StepState.RUNNING:
        return _report(run.step(service))
    dependencies.relay.deliver_in_background(run)
    async for outcome in dependencies.step_executor.execute(run, service):
        run = await _store_outcome(request_id, service, outcome, dependencies)
        if run.step(service).state is not StepState.RUNNING:
            break
    # Overlaps with Dapr's way to the next step, which waits for what is not delivered by then.
    dependencies.relay.deliver_in_background(run)
    return _report(run.step(service))


async def finish(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Ends the run and delivers its outbox; returns whether it is settled. The workflow repeats it until it is."""
    request_id = order["request_id"]
    try:
        run = await dependencies.runs.update(request_id, lambda run: run.finish(dependencies.clock()))
    except NoSuchRun:
        return {"settled": True}
    try:
        await dependencies.relay.deliver_to_audit(run)
    except (AuditUnavailable, SidecarUnreachable) as error:
        await _wait_for(request_id, error.problem().detail, dependencies)
        return {"settled": False}
    # A reader who waits for `audit: recorded` does not wait for the broker: the repository knows what was delivered.
    announced = await dependencies.relay.publish_progress(run)
    run = await dependencies.runs.write_deliveries(request_id)
    settled = announced and run.settled
    if settled:
        await dependencies.runs.index_remove([request_id])
    return {"settled": settled}


# By their names in Dapr's history of runs that are under way: a name that is gone would stop those for ever.
ACTIVITIES: Mapping[str, Activity] = {"make_plan": make_plan, "carry_out": carry_out, "finish": finish}


async def _store_plan(request_id: str, plan: FleetPlan, steps: list[Step], dependencies: ActivityDependencies) -> Run:
    """Stores the plan. A plan that is too large for the record becomes an obstacle, which ends the run."""
    try:
        return await dependencies.runs.update(request_id, lambda run: run.with_plan(plan, steps, dependencies.clock()))
    except DocumentTooLarge as error:
        too_large = FleetPlan(plans=[], obstacles=[error.problem()])
        return await dependencies.runs.update(
            request_id, lambda run: run.with_plan(too_large, [], dependencies.clock())
        )


async def _begin_step(run: Run, service: str, dependencies: ActivityDependencies) -> Run:
    """Starts the step once the audit has every event so far. Until then the record says that the run waits for it."""
    try:
        await dependencies.relay.deliver_to_audit(run)
    except (AuditUnavailable, SidecarUnreachable) as error:
        if not _may_start_without_audit(run.step(service), error, dependencies.catalog):
            why = f"{error.problem().detail} Nothing new starts until the audit can be written."
            return await _wait_for(run.request_id, why, dependencies)
    return await dependencies.runs.update(run.request_id, lambda run: run.begin_step(service, dependencies.clock()))


async def _store_outcome(request_id: str, service: str, outcome: Outcome, dependencies: ActivityDependencies) -> Run:
    """Stores the outcome. One that is too large for the record is stored as unknown."""
    try:
        return await dependencies.runs.update(
            request_id, lambda run: run.apply_outcome(service, outcome, dependencies.clock())
        )
    except DocumentTooLarge as error:
        unknown = unknown_outcome(error.problem().model_copy(update={"service": service}))
        return await dependencies.runs.update(
            request_id, lambda run: run.apply_outcome(service, unknown, dependencies.clock())
        )


async def _wait_for(request_id: str, why: str | None, dependencies: ActivityDependencies) -> Run:
    return await dependencies.runs.update(request_id, lambda run: run.with_waiting_reason(why))


def _may_start_without_audit(step: Step, error: CoordinatorError, catalog: Catalog) -> bool:
    """Only the audit's own first migration may start before the audit can be written."""
    return step.service == catalog.fleet.audit and (isinstance(error, AuditNotReady) or not step.from_revisions)


def _report(step: Step) -> dict[str, Any]:
    """The StepReport of a step. A step that could not begin is repeated after AUDIT_PAUSE_SECONDS."""
    pause = AUDIT_PAUSE_SECONDS if step.state is StepState.PENDING else 0
    report = StepReport(service=step.service, state=step.state, again_after_seconds=pause)
    return report.model_dump(mode="json")
