"""The workflow of a run: it has the run driven, turn by turn. It is replayed, so it uses no clock, no I/O, no settings.

All that is decided is decided from the run record, in the activity. Changes here go behind a patch of a new name, so
that histories of earlier releases replay as they were.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy

from coordinator.workflow import former

NAME = "migrate"
WAKE = "wake"
ONE_ACTIVITY = "one-activity"
# Dapr replays the whole history at every turn, so a long run continues in a new one.
TURNS_PER_HISTORY = 40
RETRY_POLICY = RetryPolicy(
    first_retry_interval=timedelta(seconds=1),
    max_number_of_attempts=30,
    backoff_coefficient=1.5,
    max_retry_interval=timedelta(seconds=10),
)


def command_of(instance_id: str) -> dict[str, Any]:
    """The input of a workflow instance, `<request_id>.<generation>`; the first releases had no generations."""
    request_id, _, generation = instance_id.partition(".")
    return {"request_id": request_id, "generation": int(generation)} if generation else {"request_id": request_id}


def migrate(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
    """Drives one run to its end. `command` holds the request id and the generation; the rest is in the run record."""
    if not ctx.is_patched(ONE_ACTIVITY):
        yield from former.migrate(ctx, command)
        return
    for _ in range(TURNS_PER_HISTORY):
        turn = yield ctx.call_activity("drive", input=command, retry_policy=RETRY_POLICY)
        if turn["over"]:
            return
        if turn["wait_seconds"]:
            yield from _wait(ctx, turn["wait_seconds"])
    # A wake that came meanwhile is kept for the next history.
    ctx.continue_as_new(command, save_events=True)


def _wait(ctx: DaprWorkflowContext, seconds: float) -> Generator[Any, Any, None]:
    """Until somebody wakes the run, or the time is up.

    The event with its own timeout, never `when_any` with a timer: the waiter that lost such a race swallows the next
    event.
    """
    try:
        yield ctx.wait_for_external_event(WAKE, timeout=timedelta(seconds=seconds))
    except TimeoutError:
        return
