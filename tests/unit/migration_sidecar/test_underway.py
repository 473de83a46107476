"""What was read when an operation was accepted holds for a moment only."""

from __future__ import annotations

from time import monotonic

from migration_sidecar.engine.operations.in_flight import JUST_NOW_SECONDS, Underway
from migration_sidecar.engine.operations.operation_watch import Standing
from migration_sidecar.engine.operations.verdict import Found
from tests.unit.migration_sidecar.accepted import RECORD

FOUND = Found(revisions=[], rows=[], moved=[], recorded=set(), left=1, obstacles=[], invalid_indexes=[])


def stored(*, attempted: bool) -> Standing:
    return Standing(RECORD, cancelled=False, attempted=attempted)


def test_an_operation_that_begins_at_once_goes_by_what_was_just_read() -> None:
    assert Underway(RECORD, accepted=FOUND).just_read(stored(attempted=False)) is FOUND


def test_one_that_another_replica_attempted_meanwhile_reads_again() -> None:
    assert Underway(RECORD, accepted=FOUND).just_read(stored(attempted=True)) is None
    assert Underway(RECORD, accepted=FOUND).just_read(None) is None


def test_one_that_waited_for_its_turn_reads_again() -> None:
    waited = Underway(RECORD, accepted=FOUND, since=monotonic() - JUST_NOW_SECONDS)
    assert waited.just_read(stored(attempted=False)) is None
