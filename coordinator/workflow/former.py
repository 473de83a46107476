"""The workflow as releases before 0.3 scheduled it: histories of theirs are replayed with it, and end.

Their activities now hand the run over to a workflow of the present kind, so this code carries nothing out.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, Self

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, when_all
from pydantic import BaseModel, ConfigDict

from coordinator.domain.step import StepState

ROUNDS_PER_HISTORY = 40
SETTLING_PAUSE = timedelta(seconds=2)
RETRY_POLICY = RetryPolicy(
    first_retry_interval=timedelta(seconds=1),
    max_number_of_attempts=30,
    backoff_coefficient=1.5,
    max_retry_interval=timedelta(seconds=10),
)


class ScheduledStep(BaseModel):
    """One step as the workflow sees it."""

    model_config = ConfigDict(frozen=True)

    service: str
    after: list[str]
    state: StepState


class StepReport(BaseModel):
    """What an activity reports to the workflow about one step."""

    model_config = ConfigDict(frozen=True)

    service: str
    state: StepState
    again_after_seconds: float = 0  # ask again, but not before; 0 where the activity has waited itself


class RunSchedule(BaseModel):
    """Chooses the next services. It does no I/O and reads no clock, so that a replay chooses the same."""

    model_config = ConfigDict(frozen=True)

    legs: list[ScheduledStep]
    max_parallel: int = 1
    ended: bool = False  # the run was over before this workflow began

    def next(self) -> list[str]:
        """The services to work on now, running ones first.

        None are left when all steps are at their targets, or when one has failed and no other is running.
        """
        if self.ended:
            return []
        running = [step.service for step in self.legs if step.state is StepState.RUNNING]
        if any(step.state.ended and not step.state.at_target for step in self.legs):
            return running
        at_target = {step.service for step in self.legs if step.state.at_target}
        ready = [
            step.service for step in self.legs if step.state is StepState.PENDING and at_target.issuperset(step.after)
        ]
        return [*running, *ready][: max(self.max_parallel, len(running))]

    def with_reports(self, reports: list[StepReport]) -> Self:
        """The schedule with what the activities reported."""
        reported_states = {report.service: report.state for report in reports}
        steps = [step.model_copy(update={"state": reported_states.get(step.service, step.state)}) for step in self.legs]
        return self.model_copy(update={"legs": steps})


def migrate(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
    """The same orders for the same answers as before; nothing may be changed here."""
    request_id = command["request_id"]
    schedule = RunSchedule.model_validate((yield _call(ctx, "make_plan", {"request_id": request_id})))
    rounds = 0
    while services := schedule.next():
        if rounds == ROUNDS_PER_HISTORY:
            ctx.continue_as_new(command)
            return
        rounds += 1
        orders = [_call(ctx, "carry_out", {"request_id": request_id, "service": service}) for service in services]
        answers = (yield when_all(orders)) if len(orders) > 1 else [(yield orders[0])]
        reports = [StepReport.model_validate(answer) for answer in answers]
        schedule = schedule.with_reports(reports)
        if pause := max(report.again_after_seconds for report in reports):
            yield ctx.create_timer(timedelta(seconds=pause))
    while not (yield _call(ctx, "finish", {"request_id": request_id}))["settled"]:
        if rounds == ROUNDS_PER_HISTORY:
            ctx.continue_as_new(command)
            return
        rounds += 1
        yield ctx.create_timer(SETTLING_PAUSE)


def _call(ctx: DaprWorkflowContext, activity: str, order: dict[str, Any]) -> Any:
    return ctx.call_activity(activity, input=order, retry_policy=RETRY_POLICY)
