"""Prints the events of one run: one row for each event, in the order in which they happened."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from coordinator.cli.console import stderr
from coordinator.cli.table_layout import Column, show_table
from coordinator.client.audit_views import AuditEventView, RunStoryView
from coordinator.presentation.formatting import duration, moment, style_of, way
from coordinator.presentation.terminal_text import safe

COLUMNS = (Column("at (UTC)"), Column("seq", leaves=2), Column("service"), Column("what", folds=True), Column("by", 1))
SENTENCES = {
    "migration.requested": "asked for",
    "migration.rejected": "refused",
    "migration.started": "planned; its steps begin",
    "migration.step_started": "step begins",
    "migration.step_finished": "step ended",
    "migration.finished": "run ended",
    "migration.approval_awaited": "its plan waits for an approval",
    "migration.approval_void": "the approval does not hold any more",
    "migration.approved": "the plan was approved",
    "migration.plan_rejected": "the plan was rejected",
    "migration.pause_requested": "a pause was asked for",
    "migration.paused": "the run pauses",
    "migration.resumed": "the run was resumed",
    "migration.cancel_requested": "a cancel was asked for",
    "migration.retried": "the run was tried again",
    "migration.compensation_started": "the run takes back what it changed",
    "migration.step_compensated": "what the step applied was taken back, or could not be",
    "migration.resubmitted": "made of a dead letter, which was refused before",
    "gap.acknowledged": "an operator answers for a gap of reconcile",
    "migration.conflict": "the same id came with another body and was refused",
    "attempt.started": "attempt begins",
    "attempt.failed": "attempt failed",
    "attempt.refused": "attempt refused",
    "attempt.cancelled": "attempt cancelled",
    "attempt.resolved": "end of an attempt found out",
    "revision.applied": "applied",
    "revision.reverted": "reverted",
    "revision.started": "begun outside a transaction:",
    "revision.stamped": "version row moved to",
}
REFUSALS = {"migration.rejected", "migration.conflict", "attempt.refused"}


def show_story(console: Console, story: RunStoryView) -> None:
    """Prints the run's summary and its events."""
    headline = Text("request ").append_text(safe(story.request_id, "bold")).append("  ")
    console.print(headline.append_text(safe(story.outcome or "not ended", style_of(story.outcome))))
    console.print(safe(_circumstances(story), "dim"), soft_wrap=True)
    show_table(console, COLUMNS, [_row(event) for event in story.events])
    if story.more:
        stderr().print(safe(f"There is more: coordinator audit list --request {story.request_id}"), soft_wrap=True)


def _circumstances(story: RunStoryView) -> str:
    both = story.asked_at and story.finished_at
    facts = [
        f"asked {moment(story.asked_at)}" if story.asked_at else "the audit holds no request for it",
        f"by {story.actor}" if story.actor else "",
        f"took {duration(story.seconds)}" if both else "",
        f"services: {', '.join(story.services)}" if story.services else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _row(event: AuditEventView) -> tuple[Text | str, ...]:
    at = event.occurred_at.strftime("%m-%d %H:%M:%S.%f")[:-3] if event.occurred_at else ""
    return (
        at,
        str(event.seq),
        safe(event.service),
        safe(sentence(event), style_of(event.outcome)),
        safe(event.actor or event.source),
    )


def sentence(event: AuditEventView) -> str:
    """What happened, in words. An event type that this release does not know is printed as it is."""
    said = SENTENCES.get(event.event_type, event.event_type)
    revision = event.text("revision")
    facts = [
        f"{said} {revision}" if revision else said,
        "" if event.event_type in REFUSALS or event.event_type.endswith(f".{event.outcome}") else event.outcome,
        way(event),
        duration(None if event.duration_ms is None else event.duration_ms / 1000),
        event.text("way_in"),
        event.text("reason"),
        event.text("error"),
    ]
    return ", ".join(fact for fact in facts if fact)
