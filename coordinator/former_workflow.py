"""The workflow as releases before 0.3 scheduled it: histories of theirs are replayed with it, and end.

Their activities now hand the run over to a workflow of the present kind, so this code carries nothing out.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, when_all

from coordinator.domain.former_schedule import RunSchedule, StepReport

ROUNDS_PER_HISTORY = 40
SETTLING_PAUSE = timedelta(seconds=2)
RETRY_POLICY = RetryPolicy(
    first_retry_interval=timedelta(seconds=1),
    max_number_of_attempts=30,
    backoff_coefficient=1.5,
    max_retry_interval=timedelta(seconds=10),
)


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
