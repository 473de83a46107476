"""Gaps that an operator answers for: they are counted with who and why, and everything else stays a gap."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from coordinator.domain.audit_events import Actor, acknowledgement_event
from coordinator.domain.reconciliation.discrepancy import Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.messages import RecordedAuditEvent
from tests.unit.coordinator.domain.reconciliation.test_record_signatures import unchanged_run
from tests.unit.coordinator.domain.reconciliation.test_run_matching import FLEET, NOW

ADA = Actor(None, "ada", "signed call, key ada/1234")


def conflict(seq: int = 9) -> RecordedAuditEvent:
    detail = {"event_id": str(uuid4()), "seq": 4, "differing": ["actor"]}
    facts: dict[str, Any] = {"event_id": uuid4(), "event_type": "audit.conflict", "source": "cas-audit"}
    return RecordedAuditEvent(**facts, occurred_at=NOW, detail=detail, seq=seq, recorded_at=NOW)


def acknowledged(
    about: RecordedAuditEvent, gap: str = "contested", seq: int = 20, **changes: Any
) -> RecordedAuditEvent:
    event = acknowledgement_event(gap, about, NOW, ADA, "a test of the relay, INC-7")
    assert validation_error(event) is None
    return RecordedAuditEvent(**event.model_dump() | changes, seq=seq, recorded_at=NOW)


def reconciled(*events: RecordedAuditEvent) -> Reconciliation:
    found = Reconciliation(FLEET)
    for event in events:
        found.add_audit_event(event)
    return found


def test_a_conflict_that_somebody_answers_for_is_told_with_who_and_why_and_is_no_gap() -> None:
    about = conflict()
    assert [gap.kind for gap in reconciled(about).gaps()] == [Kind.CONTESTED]
    found = reconciled(about, acknowledged(about))
    assert list(found.gaps()) == []
    [(gap, by)] = found.acknowledged()
    assert (gap.kind, gap.seq, by.seq) == (Kind.CONTESTED, 9, 20)
    assert (by.actor, by.basis, by.reason) == ("ada", "signed call, key ada/1234", "a test of the relay, INC-7")
    assert found.conflicts == 1


def test_a_second_conflict_about_the_same_event_is_a_gap_of_its_own() -> None:
    first, second = conflict(9), conflict(30)
    found = reconciled(first, acknowledged(first), second)
    assert [gap.seq for gap in found.gaps()] == [30]


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": None},
        {"source": "first/journal"},
        {"event_type": "migration.rejected"},
        {"detail": {"gap": "unsigned_record", "about_seq": 9}},
        {"detail": {"gap": ["contested"], "about_seq": 9}},
        {"detail": {"gap": "contested", "about_seq": "9"}},
        {"detail": {"gap": "contested", "about_seq": True}},
        {"detail": {"gap": "not_in_audit", "about_seq": 9}},
        {"detail": {}},
    ],
)
def test_what_is_no_acknowledgement_of_this_gap_leaves_it_a_gap(changes: dict[str, Any]) -> None:
    about = conflict()
    assert Kind.CONTESTED in {gap.kind for gap in reconciled(about, acknowledged(about, **changes)).gaps()}


def test_nobody_answers_for_what_has_not_happened_yet() -> None:
    about = conflict(9)
    assert [gap.kind for gap in reconciled(acknowledged(about, seq=8), about).gaps()] == [Kind.CONTESTED]


def test_a_record_without_a_signature_can_be_answered_for_and_another_run_cannot_use_that() -> None:
    signed, forged, other = (
        unchanged_run(name, seq, is_signed=name == "signed")
        for name, seq in (("signed", 1), ("forged", 4), ("other", 7))
    )
    found = Reconciliation(FLEET)
    for run, _ in (signed, forged, other):
        found.add_run(run, owed=False)
    for event in [*signed[1], *forged[1], *other[1], acknowledged(forged[1][-1], "unsigned_record")]:
        found.add_audit_event(event)
    assert [(gap.kind, gap.request_id) for gap in found.gaps()] == [(Kind.UNSIGNED_RECORD, "other")]
    assert [gap.request_id for gap, _ in found.acknowledged()] == ["forged"]


def test_a_gap_of_another_kind_is_never_acknowledged() -> None:
    """A row that is missing can be looked for; nobody can say it away."""
    _, events = unchanged_run("gone", 1, is_signed=True)
    found = reconciled(*events, acknowledged(events[-1], "no_run_record"), acknowledged(events[-1], "unsigned_record"))
    assert {gap.kind for gap in found.gaps()} == {Kind.NO_RUN_RECORD}
    assert list(found.acknowledged()) == []
