"""Formats states, revisions, times and durations as text, for tables, lines and reports."""

from __future__ import annotations

from datetime import datetime

from coordinator.client.audit_views import AuditEventView
from coordinator.client.views import RunView, StepView
from migration_sidecar.contract.target import is_end

STYLES = {
    "accepted": "cyan",
    "awaiting_approval": "magenta",
    "paused": "magenta",
    "pending": "dim",
    "no_database": "dim",
    "running": "cyan",
    "migrating": "cyan",
    "succeeded": "green",
    "unchanged": "green",
    "at_head": "green",
    "planned": "green",
    "behind": "yellow",
    "empty": "yellow",
    "reverted": "yellow",
    "compensated": "yellow",
    "skipped": "yellow",
    "cancelled": "yellow",
    "failed": "red",
    "ahead": "red",
    "foreign": "red",
    "unmanaged": "red",
    "unreachable": "red",
    "unknown": "red",
    "needs_attention": "bold red",
}


def style_of(state: str) -> str:
    """The Rich style for a state or outcome; empty for unknown ones."""
    return STYLES.get(state, "")


def duration(seconds: float | None) -> str:
    """Such as `340 ms`, `2.5 s`, `3 min 04 s` or `1 h 05 min`; empty for None."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)  # a record may have a negative duration, if the clock was set back
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes} min {remainder:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def moment(at: datetime | None) -> str:
    """A UTC time to the second, such as `2026-11-22 15:00:00Z`; empty for None."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def revisions(ids: list[str]) -> str:
    """Revision ids with commas; `nothing` for a database without a version row."""
    return ", ".join(ids) if ids else "nothing"


def is_beyond(target: str, current: list[str]) -> bool:
    """For a database with nothing to do: whether it is at a later revision than `target`, the revision asked for."""
    return bool(target) and not is_end(target) and target not in current


def change(step: StepView) -> str:
    """The database's revisions before and after the step; for an unfinished step, before and planned."""
    if not step.from_revisions and not step.to_revisions:
        return ""
    if step.ended and not step.to_revisions and step.state != "reverted":
        return f"was at {revisions(step.from_revisions)}"  # the revision after the step is unknown
    if step.state == "unchanged" and step.from_revisions != step.to_revisions:
        return f"at {revisions(step.to_revisions)}, migrated by somebody else"
    if step.from_revisions == step.to_revisions or step.state == "skipped":
        current = f"at {revisions(step.from_revisions)}"
        beyond = step.state == "unchanged" and is_beyond(step.target, step.from_revisions)
        return f"{current}, already beyond the target {step.target}" if beyond else current
    return f"{revisions(step.from_revisions)} → {revisions(step.to_revisions)}"


def way(event: AuditEventView) -> str:
    """An event's revisions, as `before → after`. Other heads that an applied revision did not move are named apart."""
    revision, after = event.text("revision"), event.to_revision
    if event.event_type == "revision.applied" and revision and after not in ("", revision):
        return f"{_join_with_arrow(event.from_revision, revision)}, heads {after}"
    return _join_with_arrow(event.from_revision, after)


def _join_with_arrow(*parts: str) -> str:
    return " → ".join(part for part in parts if part)


def progress(step: StepView) -> str:
    """Such as `2 of 5 revisions`, or `5 revisions` if all planned revisions are applied."""
    applied, planned = len(step.applied), len(step.planned)
    if planned > applied and step.state not in ("skipped", "unchanged"):
        return f"{applied} of {count(planned, 'revision')}"
    return count(applied, "revision") if applied else ""


def count(number: int, noun: str) -> str:
    """Such as `1 event` or `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def occupation(run: RunView) -> str:
    """What the run waits for or does, if none of its steps says it."""
    if run.waiting_for or run.state != "accepted":
        return run.waiting_for
    services = run.request.get("services")
    whom = count(len(services), "service") if isinstance(services, list) else "every service"
    return f"planning: asking {whom} what there is to do"


def repeated(run: RunView) -> str:
    """Says that a run with this request id existed before the request."""
    accepted = f"Request {run.request_id} was accepted at {moment(run.accepted_at)} already"
    if not run.ended:
        return f"{accepted} and is {run.state}: this is the same run, no new run was started."
    return (
        f"{accepted} and is done ({run.state}): this is its old outcome, no new run was started. "
        "A new request needs a new id; coordinator fleet shows where the databases are now."
    )


def summary(run: RunView) -> str:
    """Such as `7 succeeded, 2 unchanged`."""
    states = [step.state for step in run.steps]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
