"""Builds a report from the facts of one run. The most important section comes first."""

from __future__ import annotations

from datetime import datetime

from coordinator.presentation.formatting import duration, summary
from coordinator.report.document import Block, KeyValueList, Report, Section, Tone, text
from coordinator.report.inputs import RunFacts
from coordinator.report.phrases import databases, day, instant, problem_notice, verdict
from coordinator.report.sections import evidence, execution, plan, request


def report_of(facts: RunFacts) -> Report:
    """The whole report. The same facts always give the same report."""
    title, tone, meaning = verdict(facts.run)
    if facts.run.state == "succeeded" and facts.run.steps and not _changed(facts):
        meaning = "Every database was at its target revision already; nothing had to be done."
        if any(step.from_revisions != step.to_revisions for step in facts.run.steps):
            meaning = "This run applied nothing: somebody else had migrated the databases to their targets."
    return Report(
        request_id=facts.run.request_id,
        dated=date.isoformat() if (date := _dated(facts)) else "",
        verdict=title,
        tone=tone,
        summary=meaning,
        sections=[
            _summary(facts),
            request.request_section(facts),
            request.approved(facts),
            plan.planned(facts),
            execution.execution_section(facts),
            plan.untouched(facts),
            evidence.checked(facts),
            evidence.evidence_section(facts),
            evidence.check_yourself(facts),
            evidence.limits(facts),
        ],
    )


def _summary(facts: RunFacts) -> Section:
    run, chain, proofs = facts.run, evidence.chain_notice(facts), evidence.proof_notice(facts)
    ended = "no end yet"
    if run.finished_at:
        ended = f"{instant(run.finished_at)}, {duration(run.elapsed_seconds(run.finished_at))}"
    rows = [
        ("Run", text(run.request_id)),
        ("Day", text(day(run.begun_at or _dated(facts)))),
        *([("Time (UTC)", text(f"{instant(run.begun_at)} to {ended}"))] if run.begun_at else []),
        ("Databases", text(f"{databases(len(run.steps))}: {summary(run)}" if run.steps else "none")),
        ("Revisions that took effect", text(_changed(facts))),
        ("Evidence", text(f"{proofs.title}. {chain.title}.")),
    ]
    bad_notices = [notice for notice in (chain, proofs) if notice.tone is Tone.BAD]
    problems: list[Block] = [*bad_notices, *plan.obstacles(facts)]
    if run.error and not run.obstacles:
        problems.append(problem_notice(run.error))
    return Section("In short", [KeyValueList(rows), *problems])


def _changed(facts: RunFacts) -> int:
    in_audit = sum(event.event_type in ("revision.applied", "revision.reverted") for event in facts.events)
    return in_audit or sum(len(step.applied) for step in facts.run.steps)


def _dated(facts: RunFacts) -> datetime | None:
    last = facts.events[-1].recorded_at if facts.events else None
    return facts.run.finished_at or last or facts.run.begun_at
