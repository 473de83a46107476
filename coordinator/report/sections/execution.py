"""The section about what happened in each database on which a step was started."""

from __future__ import annotations

from coordinator.presentation.formatting import count, duration
from coordinator.report.document import (
    BREAK,
    Block,
    Column,
    KeyValueList,
    Line,
    Paragraph,
    Section,
    Subheading,
    Table,
    badge,
    code,
    sentence,
    text,
)
from coordinator.report.inputs import ReportedEvent, ReportedStep, RunFacts
from coordinator.report.phrases import instant, problem_notice, revision_list, step_end
from coordinator.report.timeline import timeline

REVISIONS = [Column("Revision and its file", 7), Column("Took effect (UTC)", 3.2), Column("Took", 1.2, True)]
ATTEMPTS = [Column("Time (UTC)", 3), Column("What", 3), Column("Message", 6)]
ATTEMPT_EVENTS = {
    "attempt.failed": "an attempt failed",
    "attempt.refused": "an attempt was refused",
    "attempt.cancelled": "an attempt was cancelled",
    "attempt.resolved": "the end of an attempt was found out",
}


def execution_section(facts: RunFacts) -> Section:
    """The timeline, then one subsection for each such database, in the order of their starts."""
    steps = [step for step in facts.run.steps if worked_on(facts, step)]
    if not steps:
        return Section("What happened in each database", [Paragraph(text("Nothing was started in any database."))])
    ordered = sorted(steps, key=lambda step: (step.started_at is None, step.started_at or 0, step.service))
    picture = timeline(facts.run)
    blocks: list[Block] = [picture] if picture else []
    for number, step in enumerate(ordered, start=1):
        blocks += _step_blocks(facts, step, number)
    return Section("What happened in each database", blocks)


def worked_on(facts: RunFacts, step: ReportedStep) -> bool:
    """Whether the step was started, or the journal has revisions of it."""
    return bool(step.started_at or facts.of_step(step.service, "revision.applied", "revision.reverted"))


def _step_blocks(facts: RunFacts, step: ReportedStep, number: int) -> list[Block]:
    words, tone = step_end(step)
    changes = facts.of_step(step.service, "revision.applied", "revision.reverted")
    blocks: list[Block] = [
        Subheading(f"{number}. {step.database or step.service}", badge(words, tone)),
        KeyValueList(_facts(step, changes)),
    ]
    if rows := _revision_rows(step, changes):
        blocks.append(Table(f"Revisions in {step.database}", REVISIONS, rows))
    failed_attempts = facts.of_step(step.service, *ATTEMPT_EVENTS)
    if failed_attempts:
        blocks.append(
            Table(f"Attempts in {step.database}", ATTEMPTS, [_attempt_row(event) for event in failed_attempts])
        )
    if step.error:
        blocks.append(problem_notice(step.error))
    return blocks


def _facts(step: ReportedStep, changes: list[ReportedEvent]) -> list[tuple[str, Line]]:
    took = f", {duration(step.seconds)}" if step.seconds is not None else ""
    ended = f" to {instant(step.finished_at)} UTC{took}" if step.finished_at else " UTC, no end is known"
    after = revision_list(step.to_revisions) if step.to_revisions else text("unknown")
    rows = [
        ("Service", text(step.service)),
        ("Before, after", sentence(revision_list(step.from_revisions), " → ", after)),
        ("Time", text(f"{instant(step.started_at)}{ended}")),
        ("Attempts", text(step.attempts or count(len(changes), "revision by the journal"))),
    ]
    if step.remark:
        rows.append(("Remark", text(step.remark)))
    if actors := _actors(changes):
        rows.append(("Carried out by", text(actors)))
    return rows


def _actors(changes: list[ReportedEvent]) -> str:
    actors = dict.fromkeys(
        (event.actor, str(event.detail.get("actor_basis") or ""), str(event.detail.get("way_in") or ""))
        for event in changes
    )
    return "; ".join(
        f"{actor or 'no name known'} ({basis or 'claimed'})" + (f", origin: {origin}" if origin else "")
        for actor, basis, origin in actors
    )


def _revision_rows(step: ReportedStep, changes: list[ReportedEvent]) -> list[list[Line]]:
    """The revisions from the journal's events; if there are none yet, from the service's answer to the coordinator."""
    if changes:
        return [_revision_row(event) for event in changes]
    return [
        [
            _revision(done.action, done.revision, "", done.sha256),
            text(instant(done.at)),
            text(_duration(done.duration_ms)),
        ]
        for done in step.applied
    ]


def _revision_row(event: ReportedEvent) -> list[Line]:
    verb = "downgrade" if event.event_type == "revision.reverted" else ""
    revision, message, sha256 = (str(event.detail.get(key) or "") for key in ("revision", "message", "sha256"))
    tables = event.detail.get("tables")
    line = _revision(verb, revision, message, sha256)
    if isinstance(tables, list) and tables:
        line += (*BREAK, *text("changed " + ", ".join(map(str, tables))))
    return [line, text(instant(event.occurred_at)), text(_duration(event.duration_ms))]


def _revision(action: str, revision: str, message: str, sha256: str) -> Line:
    taken_back = text("taken back: ") if action == "downgrade" else ()
    title = text(f"  {message}") if message else ()
    return (*taken_back, *code(revision), *title, *BREAK, *code(sha256))


def _attempt_row(event: ReportedEvent) -> list[Line]:
    error = event.detail.get("error") or event.detail.get("title") or ""
    message = f"{event.outcome} {error}" if event.outcome.startswith("CM-") else str(error or event.outcome)
    return [text(instant(event.occurred_at)), text(ATTEMPT_EVENTS[event.event_type]), text(message)]


def _duration(milliseconds: float | None) -> str:
    return duration(None if milliseconds is None else milliseconds / 1000)
