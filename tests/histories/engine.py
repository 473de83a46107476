"""The part of daprd that a workflow sees: it keeps the history, and has the SDK's own executor replay it each turn."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import _OrchestrationExecutor, _Registry
from google.protobuf.json_format import MessageToDict, ParseDict

NAME = "migrate"
START = datetime(2026, 1, 1)  # naive, as the SDK keeps its UTC
SILENT = logging.getLogger("replays")
SILENT.setLevel(logging.CRITICAL)
ENDS = {
    pb.ORCHESTRATION_STATUS_COMPLETED: "completed",
    pb.ORCHESTRATION_STATUS_FAILED: "failed",
    pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW: "continued as new",
}
Workflow = Callable[[DaprWorkflowContext, Any], Any]


class Order(NamedTuple):
    """What a turn of the workflow ordered: an activity with its input, a timer with its time, or how it ended."""

    what: str
    detail: Any = None


@dataclass
class Engine:
    """One workflow instance. `history` is committed; each method of an event takes a turn, and answers its orders."""

    workflow: Workflow
    instance_id: str = "r-1"
    history: list[pb.HistoryEvent] = field(default_factory=list)
    carried_over: list[pb.HistoryEvent] = field(default_factory=list)  # by the last `continue_as_new`
    at: datetime = START

    @classmethod
    def recorded(cls, workflow: Workflow, document: dict[str, Any]) -> Self:
        """An instance with a history out of a file."""
        history = events_of(document["history"])
        at = max(event.timestamp.ToDatetime() for event in history)
        return cls(workflow, document["instance_id"], history, at=at)

    @property
    def pending(self) -> dict[int, tuple[str, Any]]:
        """The activities that have not answered, by their ids."""
        ended = {event.taskCompleted.taskScheduledId for event in self.history if event.HasField("taskCompleted")}
        ended |= {event.taskFailed.taskScheduledId for event in self.history if event.HasField("taskFailed")}
        ordered = [event for event in self.history if event.HasField("taskScheduled") and event.eventId not in ended]
        return {
            event.eventId: (event.taskScheduled.name, json.loads(event.taskScheduled.input.value)) for event in ordered
        }

    def start(self, command: dict[str, Any], *also: pb.HistoryEvent) -> list[Order]:
        """The first turn of a history."""
        started = helpers.new_execution_started_event(NAME, self.instance_id, json.dumps(command))
        return self.turn(self._timed(started), *also)

    def complete(self, *answers: tuple[int, Any]) -> list[Order]:
        """Activities with these ids have answered."""
        return self.turn(*(helpers.new_task_completed_event(each, json.dumps(answer)) for each, answer in answers))

    def fail(self, task_id: int) -> list[Order]:
        """The activity with this id has raised an error."""
        return self.turn(helpers.new_task_failed_event(task_id, OSError("daprd is away")))

    def fire(self, timer_id: int) -> list[Order]:
        """The time of a timer has come."""
        (fire_at,) = [event.timerCreated.fireAt for event in self.history if _is_timer(event, timer_id)]
        self.at = max(self.at, fire_at.ToDatetime())
        return self.turn(helpers.new_timer_fired_event(timer_id, fire_at.ToDatetime()))

    def wake(self) -> list[Order]:
        """Somebody has raised the event `wake`."""
        return self.turn(helpers.new_event_raised_event("wake"))

    def turn(self, *events: pb.HistoryEvent) -> list[Order]:
        """Replays the history, adds these events, and commits what the workflow ordered."""
        self.at += timedelta(seconds=1)
        started = helpers.new_workflow_started_event(self.at)
        new = [started, *(self._timed(event) for event in events)]
        result = executor(self.workflow).execute(self.instance_id, self.history, new)
        started.workflowStarted.version.patches.extend(result.patches or [])
        self.history += [*new, *(event for action in result.actions if (event := self._scheduled(action)) is not None)]
        for action in result.actions:
            self.carried_over = list(action.completeWorkflow.carryoverEvents)
        return [_order(action, self.at) for action in result.actions]

    def _timed(self, event: pb.HistoryEvent) -> pb.HistoryEvent:
        event.timestamp.FromDatetime(self.at)
        return event

    def _scheduled(self, action: Any) -> pb.HistoryEvent | None:
        event = pb.HistoryEvent(eventId=action.id)
        if action.HasField("scheduleTask"):
            task = action.scheduleTask
            scheduled = pb.TaskScheduledEvent(name=task.name, input=task.input, taskExecutionId=task.taskExecutionId)
            event.taskScheduled.CopyFrom(scheduled)
        elif action.HasField("createTimer"):
            origin = action.createTimer.WhichOneof("origin")
            event.timerCreated.CopyFrom(pb.TimerCreatedEvent(fireAt=action.createTimer.fireAt))
            if origin:
                getattr(event.timerCreated, origin).CopyFrom(getattr(action.createTimer, origin))
        else:
            return None
        return self._timed(event)


def executor(workflow: Workflow) -> _OrchestrationExecutor:
    """The SDK's, which knows this one workflow, wrapped as WorkflowRuntime wraps it."""
    registry = _Registry()
    registry.add_named_orchestrator(NAME, lambda ctx, command: workflow(DaprWorkflowContext(ctx), command))
    return _OrchestrationExecutor(registry, SILENT)


def _order(action: Any, now: datetime) -> Order:
    if action.HasField("scheduleTask"):
        return Order(action.scheduleTask.name, json.loads(action.scheduleTask.input.value))
    if action.HasField("createTimer"):
        return Order("timer", (action.createTimer.fireAt.ToDatetime() - now).total_seconds())
    end = action.completeWorkflow
    return Order(ENDS[end.workflowStatus], end.failureDetails.errorMessage or None)


def _is_timer(event: pb.HistoryEvent, timer_id: int) -> bool:
    return event.HasField("timerCreated") and event.eventId == timer_id


def documents(events: Sequence[pb.HistoryEvent]) -> list[dict[str, Any]]:
    """Events as they stand in a file."""
    return [MessageToDict(event) for event in events]


def events_of(found: Sequence[dict[str, Any]]) -> list[pb.HistoryEvent]:
    """Events as they stand in a file, for the executor."""
    return [ParseDict(each, pb.HistoryEvent()) for each in found]
