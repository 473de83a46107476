"""The activities of the workflow. Dapr may run each of them twice, even at the same time; the result is the same.

Each takes and returns plain JSON, because both travel through the workflow's history.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator.domain.step import StepState
from coordinator.driver.run_driver import RunDriver
from coordinator.errors import CoordinatorError, InternalError, NoSuchRun
from coordinator.runs.repository import RunRepository
from coordinator.runs.workflow_progress import RunningActivities
from coordinator.workflow.former import RunSchedule, StepReport

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActivityDependencies:
    """The objects that activities use; app.py creates it."""

    runs: RunRepository
    driver: RunDriver
    running_activities: RunningActivities = field(default_factory=RunningActivities)


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
    request_id = order["request_id"]
    try:
        with dependencies.running_activities.running(request_id):
            return await activity(order, dependencies=dependencies)
    except CoordinatorError:
        raise
    except Exception:
        log.exception("activity_failed", extra={"request_id": request_id, "activity": activity.__name__})
        with suppress(CoordinatorError):
            why = f"{InternalError().detail} It is tried again; the reason is in the coordinator's log."
            await dependencies.runs.update(request_id, lambda run: run.with_waiting_reason(why))
        raise


async def drive(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """One turn of a run: `over`, or the seconds until something can be done."""
    turn = await dependencies.driver.drive(order["request_id"], order.get("generation", 0))
    return turn.document()


# --- histories of releases before 0.3: their workflow ends, and run recovery starts one of the present kind -----------


async def make_plan(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Nothing is left to do for that workflow."""
    await _hand_over(order["request_id"], dependencies)
    return RunSchedule(legs=[], ended=True).model_dump(mode="json")


async def carry_out(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Says `skipped`, after which that workflow begins no other step."""
    await _hand_over(order["request_id"], dependencies)
    return StepReport(service=order["service"], state=StepState.SKIPPED).model_dump(mode="json")


async def finish(order: dict[str, Any], *, dependencies: ActivityDependencies) -> dict[str, Any]:
    """Says `settled`, after which that workflow ends."""
    await _hand_over(order["request_id"], dependencies)
    return {"settled": True}


async def _hand_over(request_id: str, dependencies: ActivityDependencies) -> None:
    with suppress(NoSuchRun):
        await dependencies.runs.update(request_id, lambda run: run.driven_by(max(1, run.generation)))


# By their names in Dapr's history of runs that are under way: a name that is gone would stop those for ever.
ACTIVITIES: Mapping[str, Activity] = {"drive": drive, "make_plan": make_plan, "carry_out": carry_out, "finish": finish}
