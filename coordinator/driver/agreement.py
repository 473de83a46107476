"""Whether a step would still do what was agreed to: asked of the service immediately before the step begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.domain.commands.approval import ApprovalState
from coordinator.domain.plan import changed_members, plan_digest
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import Step, StepState
from coordinator.driver.planner import Planner
from coordinator.ports import Clock
from coordinator.runs.repository import RunRepository

HALF_WAY = "{} was stopped half way by a pause, so what is left is another plan."


@dataclass(frozen=True)
class Agreement:
    """Compares the plan of a step with the one that was approved, and plans a step again that was stopped half way."""

    runs: RunRepository
    planner: Planner
    clock: Clock

    async def still_holds(self, run: Run, service: str) -> bool:
        """Whether the step may begin. If not, the record says why: its approval is void, and is asked for anew."""
        step = run.step(service)
        if run.approval is None and not step.applied_before:
            return True  # the service itself compares the plan when it gets the order
        new = await self.planner.plan_step(run, service)
        if new is None and not self._has_expired(run):
            return True  # it gives no plan now; the service answers the order with the reason
        new = new or step
        changed = self._void_because(run, step, new)
        if run.approval is None or not changed:
            await self.runs.update(run.request_id, lambda run: _with_new_plan(run, new))
            return True
        await self.runs.update(run.request_id, lambda run: _made_void(run, new, changed))
        return False

    def _void_because(self, run: Run, step: Step, new: Step) -> list[str]:
        if run.approval is None:
            return []
        # A step that was planned again since names only what is left, and is compared like any other.
        half_way = any(each.revision in step.planned for each in step.applied_before)
        changed = [HALF_WAY.format(step.service)] if half_way else changed_members([step], [new])
        if self._has_expired(run) and run.approval.expires_at is not None:
            changed.append(f"It was good until {run.approval.expires_at.isoformat(timespec='seconds')}.")
        return changed

    def _has_expired(self, run: Run) -> bool:
        expires_at = run.approval.expires_at if run.approval is not None else None
        return expires_at is not None and self.clock() >= expires_at


def _made_void(run: Run, new: Step, changed: Sequence[str]) -> Run:
    """The run waits for an approval of the new plan as soon as no step is running."""
    if run.state is not RunState.RUNNING or run.approval is None:
        return run
    void = run.approval.model_copy(update={"state": ApprovalState.VOID, "void_because": list(changed)})
    run = _with_new_plan(run, new)
    return run.model_copy(update={"approval": void, "plan_digest": plan_digest(run.steps, run.request)})


def _with_new_plan(run: Run, new: Step) -> Run:
    """The step with what its service says now; a step that has begun meanwhile stays as it is."""
    step = run.step(new.service)
    if step.state is not StepState.PENDING:
        return run
    planned = {"from_revisions", "to_revisions", "planned", "plan_digest"}
    return run.with_step(step.model_copy(update={field: getattr(new, field) for field in planned}))
