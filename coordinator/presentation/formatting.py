"""How states, revisions and durations are written, in tables and in lines alike."""

from __future__ import annotations

from datetime import datetime

from coordinator.client.views import AuditEventView, RunView, StepView

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
    return STYLES.get(state, "")


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)  # older records hold what a clock made that was set back
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def moment(at: datetime | None) -> str:
    """In UTC, as in the records and in the audit."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def revisions(ids: list[str]) -> str:
    return ", ".join(ids) if ids else "nothing"


def is_beyond(target: str, current: list[str]) -> bool:
    """Of a database with nothing to do: whether the revision that was asked for lies below where it is."""
    return target not in ("", "head", "heads") and target not in current


def change(step: StepView) -> str:
    """Where the database was and where it is meant to be, or is."""
    if not step.from_revisions and not step.to_revisions:
        return ""
    if step.ended and not step.to_revisions and step.state != "reverted":
        return f"was at {revisions(step.from_revisions)}"  # nobody could say where it is now
    if step.state == "unchanged" and step.from_revisions != step.to_revisions:
        return f"at {revisions(step.to_revisions)}, brought there by somebody else"
    if step.from_revisions == step.to_revisions or step.state == "skipped":
        where = f"at {revisions(step.from_revisions)}"
        beyond = step.state == "unchanged" and is_beyond(step.target, step.from_revisions)
        return f"{where}, already beyond the target {step.target}" if beyond else where
    return f"{revisions(step.from_revisions)} → {revisions(step.to_revisions)}"


def way(event: AuditEventView) -> str:
    """What an event says of revisions; a revision that leaves other heads beside it did not move them."""
    revision, after = event.text("revision"), event.to_revision
    if event.event_type == "revision.applied" and revision and after not in ("", revision):
        return f"{_arrow(event.from_revision, revision)}, heads {after}"
    return _arrow(event.from_revision, after)


def _arrow(*places: str) -> str:
    return " → ".join(place for place in places if place)


def progress(step: StepView) -> str:
    """Such as `2 of 5 revisions`, or `5 revisions` where all that was planned is done."""
    applied, planned = len(step.applied), len(step.planned)
    if planned > applied and step.state not in ("skipped", "unchanged"):
        return f"{applied} of {count(planned, 'revision')}"
    return count(applied, "revision") if applied else ""


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def occupation(run: RunView) -> str:
    """What the run waits for or does while no step says it."""
    if run.waiting_for or run.state != "accepted":
        return run.waiting_for
    asked = run.request.get("services")
    whom = count(len(asked), "service") if isinstance(asked, list) else "every service"
    return f"planning: asking {whom} what there is to do"


def repeated(run: RunView) -> str:
    """What to make of a run that was there before this request for it came."""
    begun = f"Request {run.request_id} was accepted at {moment(run.accepted_at)} already"
    if not run.ended:
        return f"{begun} and is {run.state}: this is the same run, nothing new was begun."
    return (
        f"{begun} and is done ({run.state}): this is its outcome of then, nothing new was begun. "
        "A new request needs a new id; coordinator fleet tells where the databases are now."
    )


def summary(run: RunView) -> str:
    """Such as `7 succeeded, 2 unchanged`."""
    states = [step.state for step in run.steps]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
