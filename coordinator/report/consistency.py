"""Compares the audit events of one run with its record, as `audit reconcile` does for the whole fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from coordinator.domain.reconciliation.run_matching import EVENT_TYPES, RunMatcher
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.report.inputs import ReportedEvent
from migration_sidecar.contract.messages import RecordedAuditEvent

OF_A_JOURNAL = ("revision.applied", "revision.reverted")


def disagreements(record: Mapping[str, Any], events: Sequence[ReportedEvent]) -> list[str] | None:
    """One sentence for each difference. `record` is the coordinator's answer; None if another release wrote it."""
    try:
        run = Run.model_validate(record)
    except ValidationError:
        return None
    matcher, sentences = RunMatcher(), list[str]()
    matcher.add_run(run, owed=record.get("audit") != "recorded")
    for reported in events:
        if reported.event_type in EVENT_TYPES:
            if event := _recorded(reported):
                matcher.add_audit_event(event)
            else:
                sentences.append(f"Event {reported.seq} of the audit is not of the form that the audit takes.")
    if matcher.on_their_way:
        sentences.append("The coordinator holds events of this run that the audit has not taken in yet.")
    sentences += [gap.sentence for gap in matcher.gaps()]
    return sentences + [sentence for step in run.steps for sentence in _about_revisions(step, events)]


def _recorded(reported: ReportedEvent) -> RecordedAuditEvent | None:
    try:
        return RecordedAuditEvent.model_validate({k: v for k, v in reported.model_dump().items() if v != ""})
    except ValidationError:
        return None


def _about_revisions(step: Step, events: Sequence[ReportedEvent]) -> Iterator[str]:
    """Revisions of the record that no journal event confirms. The journal may have more revisions than the record."""
    journal = [one.detail for one in events if one.service == step.service and one.event_type in OF_A_JOURNAL]
    files = {(str(detail.get("revision")), str(detail.get("sha256") or "")) for detail in journal}
    known = {revision for revision, _ in files}
    for one in step.applied:
        if one.revision not in known:
            yield f"{step.service}: the audit has no event from the journal for the revision {one.revision}."
        elif (one.revision, one.sha256 or "") not in files:
            yield f"{step.service}: the file of {one.revision} has another SHA-256 in the audit."
