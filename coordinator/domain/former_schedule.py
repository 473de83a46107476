"""What histories of releases before 0.3 hold of a run, and how their workflow chose the next steps from it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from coordinator.domain.step import StepState


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
