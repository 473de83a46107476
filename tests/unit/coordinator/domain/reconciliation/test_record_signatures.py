"""Records without the coordinator's signature: those of an earlier release are counted, younger ones are gaps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.domain.changes.ending import finish
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from migration_sidecar.contract.messages import RecordedAuditEvent
from tests.unit.coordinator.domain.reconciliation.test_run_matching import FLEET, NOW

Story = list[tuple[Run, list[RecordedAuditEvent]]]


def unchanged_run(request_id: str, first_seq: int, *, is_signed: bool | None) -> tuple[Run, list[RecordedAuditEvent]]:
    """A run that claims nothing a journal could confirm, and its events."""
    asked = MigrationRequest(request_id=request_id, services="all", requested_by="ada")
    run = Run.accept(asked, NOW)
    run = run.model_copy(update={"state": RunState.RUNNING, "started_at": NOW, "plan_digest": "0" * 64})
    run = finish(run.with_run_event("migration.started", NOW, plan_digest="0" * 64), NOW + timedelta(seconds=1))
    events = [
        RecordedAuditEvent(**notice.event.model_dump(), seq=seq, recorded_at=NOW)
        for seq, notice in enumerate(run.outbox, first_seq)
    ]
    return run.model_copy(update={"is_signed": is_signed, "outbox": []}), events


def gaps(story: Story) -> list[Discrepancy]:
    found = Reconciliation(FLEET)
    for run, _ in story:
        found.add_run(run, owed=False)
    for event in sorted((event for _, events in story for event in events), key=lambda event: event.seq):
        found.add_audit_event(event)
    return list(found.gaps())


def test_records_of_an_earlier_release_are_no_gaps() -> None:
    story = [unchanged_run("old-1", 1, is_signed=False), unchanged_run("old-2", 4, is_signed=False)]
    assert gaps(story) == []
    assert gaps([*story, unchanged_run("new", 7, is_signed=True)]) == []


def test_an_unsigned_record_that_is_younger_than_a_signed_one_is_a_gap_though_the_audit_has_its_events() -> None:
    story = [
        unchanged_run("old", 1, is_signed=False),
        unchanged_run("new", 4, is_signed=True),
        unchanged_run("forged", 7, is_signed=False),
    ]
    [gap] = gaps(story)
    assert (gap.kind, gap.request_id, gap.seq) == (Kind.UNSIGNED_RECORD, "forged", 9)
    assert "was written past the coordinator" in gap.sentence


@pytest.mark.parametrize("others", [[], [unchanged_run("new", 1, is_signed=True)]])
def test_an_unsigned_record_that_the_audit_knows_nothing_of_is_a_gap(others: Story) -> None:
    forged, _ = unchanged_run("forged", 1, is_signed=False)
    found = gaps([*others, (forged, [])])
    assert {(gap.kind, gap.request_id) for gap in found} == {(Kind.RUN_NOT_IN_AUDIT, "forged")}
    assert any("migration.requested" in gap.sentence for gap in found)


def test_a_run_that_was_open_during_the_update_and_goes_on_accuses_no_earlier_record() -> None:
    """The coordinator signs it again, but its events so far may be older than those of a run that ended meanwhile."""
    going_on, events = unchanged_run("open", 1, is_signed=True)
    going_on = going_on.model_copy(update={"state": RunState.RUNNING})
    assert gaps([(going_on, events[:2]), unchanged_run("old", 3, is_signed=False)]) == []


def test_where_records_are_not_signed_nothing_is_said() -> None:
    assert gaps([unchanged_run("a", 1, is_signed=None), unchanged_run("b", 4, is_signed=None)]) == []


def test_a_record_that_was_signed_when_it_was_read_again_is_not_counted() -> None:
    unsigned, _ = unchanged_run("a", 1, is_signed=False)
    found = Reconciliation(FLEET)
    found.add_run(unsigned, owed=False)
    assert found.run_matcher.signatures.unsigned == {"a"}
    found.add_run(unsigned.model_copy(update={"is_signed": True}), owed=False)
    assert found.run_matcher.signatures.unsigned == set()
