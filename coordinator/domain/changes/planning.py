"""What a plan makes of an accepted run: it starts, waits for an approval, ends as a dry run, or does not start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator.domain.changes.ending import finish
from coordinator.domain.commands.approval import Approval, Reason
from coordinator.domain.plan import FleetPlan, plan_digest
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import Step, StepState
from coordinator.errors import PreflightFailed
from migration_sidecar.contract.audit_detail import problem_facts


def with_plan(run: Run, plan: FleetPlan, steps: Sequence[Step], now: datetime, because: Sequence[Reason] = ()) -> Run:
    """Moves an accepted run on; `because` says why it needs an approval, if it needs one.

    Steps with nothing to do end as `unchanged` when the run starts. Of a run that is retried, steps that are at their
    target stay as they are. A run that has a plan already stays as it is.
    """
    if run.state is not RunState.ACCEPTED:
        return run
    run = run.model_copy(update={"steps": _merged(run.steps, steps), "obstacles": plan.obstacles})
    if plan.obstacles:
        return _fail_before_start(run, now)
    run = run.model_copy(update={"plan_digest": plan_digest(run.steps, run.request)})
    if run.request.dry_run:
        return _end_dry_run(run, now)
    if because and any(not (step.state.ended or step.has_nothing_to_do) for step in run.steps):
        return await_approval(run, now, Approval(because=list(because)))
    return started(run, now)


def await_approval_again(run: Run, now: datetime) -> Run:
    """The approval that was given is void, and no step is running: the run waits for another one."""
    if run.state is not RunState.RUNNING or run.running or run.approval is None:
        return run
    return await_approval(run, now, run.approval)


def await_approval(run: Run, now: datetime, approval: Approval) -> Run:
    """The run waits for an approval of its plan; also where one that was given does not hold any more."""
    run = run.with_state(RunState.AWAITING_APPROVAL, approval=approval)
    facts: dict[str, Any] = {"plan_digest": run.plan_digest, "because": [reason.value for reason in approval.because]}
    if approval.void_because:
        facts["void_because"] = approval.void_because
        return run.with_run_event("migration.approval_void", now, again=[now.isoformat()], **facts)
    return run.with_run_event("migration.approval_awaited", now, **facts)


def started(run: Run, now: datetime, *, again: bool = False) -> Run:
    """The run with state `running`; steps with nothing to do end here, and the run with them if there are no others.

    `again`: it had started before in this round.
    """
    run = run.with_state(RunState.RUNNING, started_at=run.started_at or now)
    if not again:
        run = run.with_run_event("migration.started", now, plan_digest=run.plan_digest)
    for step in run.steps:
        if step.state is StepState.PENDING and step.has_nothing_to_do:
            state = StepState.SUCCEEDED if step.applied else StepState.UNCHANGED
            run = run.with_ended_step(_ended_without_work(step, state, now), now)
    return finish(run, now) if all(step.state.ended for step in run.steps) else run


def _ended_without_work(step: Step, state: StepState, now: datetime) -> Step:
    if state is StepState.UNCHANGED:
        return step.moved(state, finished_at=now, duration_ms=0)
    # Brought to its target by an earlier operation of this run, before a pause or a retry.
    return step.moved(StepState.RUNNING).moved(state, finished_at=now, duration_ms=0)


def _merged(before: Sequence[Step], new: Sequence[Step]) -> list[Step]:
    known = {step.service: step for step in before}
    return [_replanned(known[step.service], step) if step.service in known else step for step in new]


def _replanned(step: Step, new: Step) -> Step:
    """A step that waits takes what the new plan says of it, and keeps what this run did."""
    if step.state is not StepState.PENDING:
        return step
    planned = {"target", "beside_other_tables", "after", "from_revisions", "to_revisions", "planned", "plan_digest"}
    return step.model_copy(update={field: getattr(new, field) for field in planned})


def _fail_before_start(run: Run, now: datetime) -> Run:
    reasons = {obstacle.service: obstacle for obstacle in reversed(run.obstacles)}
    for step in run.steps:
        if step.state is StepState.PENDING:
            run = run.with_ended_step(step.skipped(now, error=reasons.get(step.service)), now)
    problem = PreflightFailed(run.obstacles, run.request_id).problem()
    ended = run.with_state(RunState.FAILED, finished_at=now, error=problem)
    facts: dict[str, Any] = {
        "error": problem_facts(problem),
        "obstacles": [problem_facts(each) for each in run.obstacles],
    }
    return ended.with_run_event("migration.finished", now, outcome=RunState.FAILED.value, **facts)


def _end_dry_run(run: Run, now: datetime) -> Run:
    for step in run.steps:
        if step.has_nothing_to_do:
            run = run.with_step(step.moved(StepState.UNCHANGED, finished_at=now, duration_ms=0))
    for step in run.steps:
        run = run.with_step_event("migration.step_planned", now, step)
    ended = run.with_state(RunState.PLANNED, finished_at=now)
    return ended.with_run_event("migration.finished", now, outcome=RunState.PLANNED.value, plan_digest=run.plan_digest)
