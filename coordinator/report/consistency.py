"""Compares the two accounts of a run: the record that the coordinator keeps, and the events that the audit keeps."""

from __future__ import annotations

from coordinator.report.inputs import ReportedEvent, ReportedStep, RunFacts
from migration_sidecar.contract.audit_detail import revision_list


def disagreements(facts: RunFacts) -> list[str]:
    """One sentence each; what the coordinator still owes the audit is one of them."""
    found = []
    if facts.run.owes_the_audit:
        found.append("The coordinator holds events of this run that the audit has not taken in yet.")
    ended = facts.first("migration.finished")
    if facts.run.ended and ended is not None and ended.outcome != facts.run.state:
        found.append(f"The record says that the run ended as {facts.run.state}, the audit says {ended.outcome}.")
    if facts.run.ended and ended is None:
        found.append("The record says that the run has ended; the audit holds no end of it.")
    return found + [sentence for step in facts.run.steps if step.ended for sentence in _about(step, facts)]


def _about(step: ReportedStep, facts: RunFacts) -> list[str]:
    finished = facts.of_step(step.service, "migration.step_finished")
    if not finished:
        # A dry run's steps end without a word: nothing was done.
        return [] if facts.run.state == "planned" else [f"{step.service}: the audit holds no end of its step."]
    found = []
    if finished[-1].outcome != step.state:
        found.append(f"{step.service}: the record says {step.state}, the audit says {finished[-1].outcome}.")
    if finished[-1].to_revision != (revision_list(step.to_revisions) or ""):
        found.append(f"{step.service}: the record and the audit leave its database at different revisions.")
    return found + _about_revisions(step, facts.of_step(step.service, "revision.applied", "revision.reverted"))


def _about_revisions(step: ReportedStep, changes: list[ReportedEvent]) -> list[str]:
    """By hand or from another coordinator a journal may know more; what the record claims it must know."""
    journal = {(str(event.detail.get("revision")), str(event.detail.get("sha256") or "")) for event in changes}
    known = {revision for revision, _ in journal}
    lost = [one.revision for one in step.applied if one.revision not in known]
    other = [
        one.revision for one in step.applied if one.revision in known and (one.revision, one.sha256) not in journal
    ]
    return [
        *(f"{step.service}: the audit has no event from the journal for the revision {one}." for one in lost),
        *(f"{step.service}: the file of {one} has another SHA-256 in the audit." for one in other),
    ]
