"""The sections about the plan of each database, and about the databases that the run did not change."""

from __future__ import annotations

from coordinator.report.document import (
    Block,
    Column,
    Line,
    Paragraph,
    Section,
    Table,
    code,
    sentence,
    text,
)
from coordinator.report.inputs import ReportedStep, RunFacts
from coordinator.report.phrases import databases, problem_notice, revision_list

PLAN = [Column("Database", 3), Column("Service", 3), Column("From", 3), Column("To", 3), Column("Revisions", 1.6, True)]
REVISIONS = [Column("Database", 3), Column("Revisions", 11)]
UNTOUCHED = [Column("Database", 3), Column("Service", 3), Column("Is at", 3), Column("Why nothing was done", 5)]
NOT_TOUCHED = ("unchanged", "skipped", "pending")


def planned(facts: RunFacts) -> Section:
    """The plan of each database, in the order of the run."""
    run = facts.run
    if not run.steps:
        return Section("What was planned", [Paragraph(text("Nothing: the run ended before a plan was made."))])
    blocks: list[Block] = [Table("The plan, in the order of the run", PLAN, [_row(facts, step) for step in run.steps])]
    if rows := [[code(step.database), revision_list(step.planned)] for step in run.steps if step.planned]:
        blocks.append(Table("The revisions of the plan, in order", REVISIONS, rows))
    if run.plan_digest:
        line = sentence("The plan as a whole, revision files included, has the SHA-256 ", code(run.plan_digest), ".")
        blocks.append(Paragraph(line))
    return Section("What was planned", blocks)


def untouched(facts: RunFacts) -> Section:
    """The databases in which the run changed nothing, and why."""
    steps = [step for step in facts.run.steps if _is_unchanged(facts, step)]
    if not steps:
        statement = (
            "No database of the run: each was worked on." if facts.run.steps else "Every database: nothing was started."
        )
        return Section("What was not touched", [Paragraph(text(statement))])
    rows = [
        [
            code(step.database),
            text(step.service),
            revision_list(_current_revisions(step)),
            _reason_unchanged(facts, step),
        ]
        for step in steps
    ]
    moved = sum(_was_migrated_elsewhere(step) for step in steps)
    others = f" Somebody else migrated {databases(moved)} of these meanwhile." if moved else ""
    line = text(f"This run changed nothing in {databases(len(steps))}.{others} {_other_services(facts)}")
    return Section(
        "What was not touched", [Paragraph(line), Table("Databases that the run left alone", UNTOUCHED, rows)]
    )


def obstacles(facts: RunFacts) -> list[Block]:
    """The problems because of which the run started no step."""
    return [problem_notice(problem) for problem in facts.run.obstacles]


def _row(facts: RunFacts, step: ReportedStep) -> list[Line]:
    return [
        code(step.database),
        text(step.service),
        revision_list(step.from_revisions),
        revision_list(_planned_end(facts, step)),
        text(len(step.planned) or "none"),
    ]


def _planned_end(facts: RunFacts, step: ReportedStep) -> list[str]:
    """Where the plan leads, which may be several heads. A step that has ended names where its database is instead."""
    for event in facts.of_step(step.service, "migration.step_planned", "migration.step_started"):
        if event.to_revision:
            return event.to_revision.split(",")
    if step.planned:
        return step.planned[-1:]
    return [] if _is_unchanged(facts, step) and step.state != "unchanged" else step.to_revisions


def _is_unchanged(facts: RunFacts, step: ReportedStep) -> bool:
    return step.state in NOT_TOUCHED and not facts.of_step(step.service, "revision.applied", "revision.reverted")


def _was_migrated_elsewhere(step: ReportedStep) -> bool:
    """Whether another process migrated the database: this run applied nothing, but the revision changed."""
    return step.state == "unchanged" and step.from_revisions != step.to_revisions


def _current_revisions(step: ReportedStep) -> list[str]:
    return step.to_revisions if _was_migrated_elsewhere(step) else step.from_revisions


def _other_services(facts: RunFacts) -> str:
    others = {event.service for event in facts.events if event.service} - {step.service for step in facts.run.steps}
    if others:
        return f"Besides the plan, the audit names for this request: {', '.join(sorted(others))}."
    return "The audit names no other database for this request."


def _reason_unchanged(facts: RunFacts, step: ReportedStep) -> Line:
    if step.error:
        return text(f"{step.error.code} {step.error.title}")
    if step.state == "unchanged":
        if step.remark:
            return text(step.remark)
        if _was_migrated_elsewhere(step):
            return text("Somebody else migrated it.")
        return text("It was at its target revision already.")
    if facts.run.state == "planned":
        return text("This was a dry run.")
    if facts.run.obstacles:
        return text("The run had obstacles, so no database was migrated.")
    return text("The run ended before its turn came.")
