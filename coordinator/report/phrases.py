"""How a report says things to somebody who has never seen this program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from coordinator.client.views import ProblemView
from coordinator.presentation.formatting import count
from coordinator.report.document import Line, Notice, Span, Tone, text
from coordinator.report.inputs import ReportedRun, ReportedStep
from migration_sidecar.contract.audit_detail import error_text

RUN_ENDS = {
    "succeeded": ("Succeeded", Tone.GOOD, "Every database is where it was meant to be, or beyond."),
    "failed": ("Failed", Tone.BAD, "Not every database is where it was meant to be."),
    "cancelled": ("Cancelled", Tone.WARN, "Somebody ended it; every database is at a whole revision."),
    "compensated": ("Taken back", Tone.WARN, "It failed, and what it had changed was taken back."),
    "needs_attention": ("A person is needed", Tone.BAD, "What became of a database could not be settled."),
    "planned": ("Dry run", Tone.PLAIN, "Everything was planned and checked; nothing was changed."),
    "rejected": ("Refused", Tone.WARN, "The request was refused at the door; nothing was begun."),
}
STEP_ENDS = {
    "pending": ("not begun", Tone.PLAIN),
    "running": ("under way", Tone.WARN),
    "succeeded": ("migrated", Tone.GOOD),
    "unchanged": ("was there already", Tone.PLAIN),
    "failed": ("failed", Tone.BAD),
    "skipped": ("not begun", Tone.WARN),
    "cancelled": ("cancelled", Tone.WARN),
    "reverted": ("taken back", Tone.WARN),
    "needs_attention": ("unsettled", Tone.BAD),
}
BASES = {
    "claimed": "claimed by whoever sent the request; nobody checked it",
    "operating system": "the account of the operating system that ran the command",
    "service itself": "the service, at its own start",
    "database login": "the login at the audit's database",
}


def verdict(run: ReportedRun) -> tuple[str, Tone, str]:
    unfinished = ("Not finished", Tone.WARN, f"When this was printed the run was {run.state or 'unknown'}.")
    return RUN_ENDS.get(run.state, unfinished)


def step_end(step: ReportedStep) -> tuple[str, Tone]:
    if step.state == "unchanged" and step.from_revisions != step.to_revisions:
        return "brought there by somebody else", Tone.PLAIN
    return STEP_ENDS.get(step.state, (step.state, Tone.WARN))


def known_by(basis: object) -> str:
    """How an actor is known; silence is the weakest basis there is."""
    return BASES.get(str(basis or "claimed"), str(basis))


def instant(at: datetime | None) -> str:
    """To the millisecond, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""


def clock(at: datetime | None) -> str:
    return instant(at).partition(" ")[2]


def day(at: datetime | None) -> str:
    return f"{at.day} {at:%B %Y}" if at else "an unknown day"


def revision_list(ids: Sequence[str]) -> Line:
    if not ids:
        return text("no revision")
    spans = [span for one in ids for span in (Span(one, "code"), Span(", "))]
    return tuple(spans[:-1])


def problem_notice(problem: ProblemView) -> Notice:
    """What a database or a revision may have quoted of its rows is left out, as it is in the audit."""
    lines = [text(said) for said in (error_text(problem.detail), f"Next: {problem.next_step}") if said != "Next: "]
    return Notice(Tone.BAD, f"{problem.code} {problem.title}", lines)


def databases(number: int) -> str:
    return count(number, "database")
