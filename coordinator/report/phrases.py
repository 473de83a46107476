"""The phrases of a report, for readers who do not know this program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from coordinator.client.views import ProblemView
from coordinator.presentation.formatting import count
from coordinator.report.document import Callout, Line, Span, Tone, text
from coordinator.report.inputs import ReportedRun, ReportedStep
from migration_sidecar.contract.audit_detail import error_without_literals

RUN_ENDS = {
    "succeeded": ("Succeeded", Tone.GOOD, "Every database is at its target revision, or beyond it."),
    "failed": ("Failed", Tone.BAD, "Not every database is at its target revision."),
    "cancelled": ("Cancelled", Tone.WARN, "Somebody cancelled it; no database is in the middle of a revision."),
    "compensated": ("Taken back", Tone.WARN, "It failed, and its changes were taken back."),
    "needs_attention": ("A person is needed", Tone.BAD, "The state of at least one database is unknown."),
    "planned": ("Dry run", Tone.PLAIN, "Everything was planned and checked; nothing was changed."),
    "rejected": ("Refused", Tone.WARN, "The request was refused; nothing was started."),
}
STEP_ENDS = {
    "pending": ("not started", Tone.PLAIN),
    "running": ("under way", Tone.WARN),
    "succeeded": ("migrated", Tone.GOOD),
    "unchanged": ("was there already", Tone.PLAIN),
    "failed": ("failed", Tone.BAD),
    "skipped": ("not started", Tone.WARN),
    "cancelled": ("cancelled", Tone.WARN),
    "reverted": ("taken back", Tone.WARN),
    "needs_attention": ("unsettled", Tone.BAD),
}
BASES = {
    "unverified event": "named by an event that nobody signed: whoever can publish on the broker can write any name",
    "claimed": "claimed by the sender of the request; not checked",
    "operating system": "the account of the operating system that ran the command",
    "service itself": "the service, at its start",
    "database login": "the login at the audit's database",
}


def verdict(run: ReportedRun) -> tuple[str, Tone, str]:
    """How the run ended: a title, its tone, and one sentence."""
    unfinished = ("Not finished", Tone.WARN, f"When this was printed the run was {run.state or 'unknown'}.")
    return RUN_ENDS.get(run.state, unfinished)


def step_end(step: ReportedStep) -> tuple[str, Tone]:
    """How a step ended, in one or two words, and the tone."""
    if step.state == "unchanged" and step.from_revisions != step.to_revisions:
        return "migrated by somebody else", Tone.PLAIN
    return STEP_ENDS.get(step.state, (step.state, Tone.WARN))


def known_by(basis: object) -> str:
    """How the name of an actor is known. No basis means `claimed`, the weakest one."""
    return BASES.get(str(basis or "claimed"), str(basis))


def instant(at: datetime | None) -> str:
    """A UTC time to the millisecond, such as `2026-11-22 15:00:00.000`; empty for None."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""


def clock(at: datetime | None) -> str:
    """Only the time of day of `instant`."""
    return instant(at).partition(" ")[2]


def day(at: datetime | None) -> str:
    """Such as `22 November 2026`."""
    return f"{at.day} {at:%B %Y}" if at else "an unknown day"


def revision_list(ids: Sequence[str]) -> Line:
    """Revision ids as code, with commas."""
    if not ids:
        return text("no revision")
    spans = [span for revision in ids for span in (Span(revision, "code"), Span(", "))]
    return tuple(spans[:-1])


def problem_notice(problem: ProblemView) -> Callout:
    """A problem as a notice. Row data that a database or a revision quoted is left out, as it is in the audit."""
    lines = [
        text(error_without_literals(problem.detail)),
        *([text(f"Next: {problem.next_step}")] if problem.next_step else []),
    ]
    return Callout(Tone.BAD, f"{problem.code} {problem.title}", lines)


def databases(number: int) -> str:
    """Such as `1 database` or `9 databases`."""
    return count(number, "database")
