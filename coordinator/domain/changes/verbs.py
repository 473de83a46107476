"""What each verb does to the record of a run, and what it tells the audit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from coordinator.domain.changes import ending, pausing, planning, retrying
from coordinator.domain.commands.approval import ApprovalState
from coordinator.domain.commands.command import Command, Verb
from coordinator.domain.commands.refusals import ApprovalDoesNotHold, NotPossibleNow, Rejected
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState

EVENT_OF = {
    Verb.APPROVE: "migration.approved",
    Verb.REJECT: "migration.plan_rejected",
    Verb.PAUSE: "migration.pause_requested",
    Verb.RESUME: "migration.resumed",
    Verb.CANCEL: "migration.cancel_requested",
    Verb.RETRY: "migration.retried",
}
KEPT_COMMANDS = 20
APPROVAL_LASTS = timedelta(hours=24)


def apply(run: Run, command: Command, now: datetime, approval_lasts: timedelta = APPROVAL_LASTS) -> Run:
    """The run after the command; the same run where it was given before, or has nothing to change.

    Raises NotPossibleNow (CM-606) and ApprovalDoesNotHold (CM-607).
    """
    if any(known.command_id == command.command_id for known in run.commands) or _is_so_already(run, command):
        return run
    if command.verb not in run.possible:
        raise NotPossibleNow(run.request_id, command.verb, run.state, run.possible)
    if command.verb is Verb.APPROVE:
        _require_good_approval(run, command)
    run = run.model_copy(update={"commands": [*run.commands, command][-KEPT_COMMANDS:]})
    facts = {"verb": command.verb.value, "reason": command.reason, "plan_digest": command.plan_digest}
    run = run.with_run_event(EVENT_OF[command.verb], now, actor=command.actor, again=[command.command_id], **facts)
    return _changed(run, command, now, approval_lasts)


def _is_so_already(run: Run, command: Command) -> bool:
    """Whether the run is, or is about to be, what the command asks for; a repeat under another id changes nothing."""
    stop = run.stop
    if command.verb is Verb.PAUSE:
        hurries = stop is not None and command.now and not stop.now
        return run.state is RunState.PAUSED or (run.is_pausing and not hurries)
    if command.verb is Verb.CANCEL:
        return run.state is RunState.CANCELLED or (stop is not None and stop.verb is Verb.CANCEL)
    return False


def _changed(run: Run, command: Command, now: datetime, approval_lasts: timedelta) -> Run:
    match command.verb:
        case Verb.APPROVE:
            return _approved(run, command, now, approval_lasts)
        case Verb.REJECT:
            return _rejected(run, command, now)
        case Verb.RESUME:
            return pausing.resumed(run, now)
        case Verb.RETRY:
            return retrying.retried(run)
        case Verb.PAUSE if run.state is RunState.ACCEPTED:
            why = f"{command.by} paused it before it was planned: {command.reason}"
            return pausing.paused_before_plan(run, why, now, command.command_id)
        case Verb.PAUSE:
            return pausing.paused(run.model_copy(update={"stop": command}), now)
        case Verb.CANCEL:
            return ending.cancelled(run, now) if not run.running else run.model_copy(update={"stop": command})


def _require_good_approval(run: Run, command: Command) -> None:
    if command.plan_digest != run.plan_digest:
        raise ApprovalDoesNotHold(
            f"The plan of run {run.request_id} has the digest {run.plan_digest} now, and not the approved one.",
            request_id=run.request_id,
        )
    if command.actor.name == run.actor.name:
        raise ApprovalDoesNotHold(
            f"{command.by} asked for run {run.request_id}, so somebody else has to approve it.",
            request_id=run.request_id,
        )


def _approved(run: Run, command: Command, now: datetime, lasts: timedelta) -> Run:
    if run.approval is None:
        return run
    given: dict[str, Any] = {
        "state": ApprovalState.GIVEN,
        "digest": command.plan_digest,
        "by": command.by,
        "reason": command.reason,
        "at": now,
        "expires_at": now + lasts,
        "void_because": [],
    }
    was_void = run.approval.state is ApprovalState.VOID
    run = run.model_copy(update={"approval": run.approval.model_copy(update=given)})
    return planning.started(run, now, again=was_void)


def _rejected(run: Run, command: Command, now: datetime) -> Run:
    facts = {"state": ApprovalState.REJECTED, "by": command.by, "reason": command.reason, "at": now}
    approval = run.approval and run.approval.model_copy(update=facts)
    cause = Rejected(run.request_id, command.by, command.reason).problem()
    return ending.cancelled(run.model_copy(update={"approval": approval}), now, cause)
