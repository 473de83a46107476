"""Whatever one thing is removed, changed or forged, exactly that is named; and a fleet that agrees is left in peace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.reconciliation import OWN_EVENT_TYPES
from migration_sidecar.contract.messages import AuditEvent
from tests.unit.coordinator.domain.reconciliation.stories import START, Story, recorded, told

SEEDS = st.integers(0, 2**32)
CHOICES = st.randoms(use_true_random=False)
CHANGES: dict[str, Any] = {
    "event_type": "revision.stamped",
    "occurred_at": START + timedelta(days=1),
    "request_id": "another",
    "service": "another",
    "database": "another",
    "actor": "another",
    "from_revision": "another",
    "to_revision": "another",
    "outcome": "another",
    "duration_ms": 10**9,
    "detail.revision": "another",
    "detail.sha256": "added",
}
OF_THE_COURSE = {Kind.HISTORY_BROKEN, Kind.VERSION_UNEXPLAINED, Kind.ATTEMPT_MISSING, Kind.APPLIED_TWICE}


def gaps(story: Story, page: int = 3) -> list[Discrepancy]:
    return list(story.reconciled(page).gaps())


@given(SEEDS, st.integers(1, 50))
def test_a_fleet_that_agrees_has_no_gap_whatever_the_size_of_pages(seed: int, page: int) -> None:
    story = told(seed)
    found = story.reconciled(page)
    assert list(found.gaps()) == []
    assert found.on_their_way == 0
    assert found.events == len(story.events) > 0


@given(SEEDS, CHOICES)
def test_a_removed_audit_event_is_the_one_gap(seed: int, chance: Any) -> None:
    story = told(seed)
    removed = story.events.pop(chance.randrange(len(story.events)))
    (gap,) = gaps(story)
    assert (gap.kind, gap.event_id, gap.service) == (Kind.NOT_IN_AUDIT, str(removed.event_id), removed.service)


@given(SEEDS, CHOICES)
def test_a_removed_journal_row_is_named_and_nothing_of_another_service(seed: int, chance: Any) -> None:
    story = told(seed)
    service = chance.choice(sorted(story.entries))
    row = chance.choice([entry for entry in story.entries[service] if entry.event])
    story.entries[service].remove(row)
    found = gaps(story)
    (gap,) = [gap for gap in found if gap.kind not in OF_THE_COURSE]
    assert (gap.kind, gap.event_id) == (Kind.NOT_IN_JOURNAL, str(row.event.event_id))
    assert {gap.service for gap in found} == {service}
    effects = [entry for entry in story.entries[service] if entry.kind in ("applied", "reverted")]
    # Before the very first one a database may have been anywhere.
    if row.kind in ("applied", "reverted") and effects and effects[0].seq < row.seq:
        assert any(gap.kind in OF_THE_COURSE for gap in found)


@given(SEEDS, CHOICES)
def test_a_row_removed_from_both_still_leaves_a_course_that_does_not_connect(seed: int, chance: Any) -> None:
    story = told(seed)
    service = chance.choice(sorted(story.entries))
    _, *others = [entry for entry in story.entries[service] if entry.kind in ("applied", "reverted")]
    if not others:
        return
    row = chance.choice(others)
    story.entries[service].remove(row)
    story.events = [event for event in story.events if event.event_id != row.event.event_id]
    found = gaps(story)
    assert {gap.service for gap in found} == {service}
    assert {gap.kind for gap in found} <= OF_THE_COURSE


@settings(max_examples=20)
@given(SEEDS, CHOICES)
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_fact_is_named(name: str, seed: int, chance: Any) -> None:
    story = told(seed)
    position = chance.randrange(len(story.events))
    event = story.events[position]
    where, _, inside = name.partition(".")
    value = {**event.detail, inside: CHANGES[name]} if inside else CHANGES[name]
    story.events[position] = event.model_copy(update={where: value})
    if story.events[position] == event:
        return
    (gap,) = gaps(story)
    assert (gap.kind, gap.event_id, gap.seq) == (Kind.OTHER_CONTENT, str(event.event_id), event.seq)
    assert gap.sentence.endswith(f"what differs: {name}.")


@given(SEEDS)
def test_a_fact_that_a_later_release_tells_as_well_is_no_lie(seed: int) -> None:
    story = told(seed)
    story.events = [
        event.model_copy(update={"detail": {key: event.detail[key] for key in ("operation_id", "attempt")}})
        for event in story.events
    ]
    assert gaps(story) == []


@given(SEEDS, st.sampled_from([("s0/journal", Kind.NOT_IN_JOURNAL), ("s9/journal", Kind.UNKNOWN_SOURCE)]))
def test_a_forged_event_is_the_one_gap(seed: int, forgery: tuple[str, Kind]) -> None:
    story = told(seed)
    source, kind = forgery
    forged = recorded(
        AuditEvent(event_id=uuid4(), event_type="revision.applied", occurred_at=START, source=source), 10**6
    )
    story.events.append(forged)
    (gap,) = gaps(story)
    assert (gap.kind, gap.event_id, gap.seq) == (kind, str(forged.event_id), 10**6)


@given(SEEDS, st.integers(0, 120), st.booleans())
def test_a_row_is_on_its_way_until_a_relay_would_have_sent_it(seed: int, seconds: int, relayed: bool) -> None:
    story = told(seed)
    removed = story.events.pop()
    for entries in story.entries.values():
        entries[:] = [
            entry.model_copy(update={"relayed": relayed, "seconds_ago": seconds})
            if entry.event and entry.event.event_id == removed.event_id
            else entry
            for entry in entries
        ]
    found = story.reconciled()
    if relayed or seconds > 60:
        (gap,) = found.gaps()
        assert gap.kind is (Kind.NOT_IN_AUDIT if relayed else Kind.NEVER_SENT)
        assert found.on_their_way == 0
    else:
        assert list(found.gaps()) == []
        assert found.on_their_way == 1


@given(SEEDS)
def test_where_only_some_segments_are_shown_the_seals_answer_for_the_others(seed: int) -> None:
    """All that was handed over before the oldest event that is still in the database may lie in one of them."""
    story = told(seed)
    hidden = story.events[2:]
    story.events = []
    found = story.reconciled()
    for event in told(seed).events[:2]:
        found.add_audit_event(event, sealed=True)
    assert len(list(found.gaps())) == len(hidden)
    found.has_sealed_segments = True
    assert (list(found.gaps()), found.sealed) == ([], len(hidden))


def test_a_row_that_its_own_service_cannot_read_is_named() -> None:
    story = told(4)
    last = story.entries["s0"][-1]
    story.entries["s0"][-1] = last.model_copy(update={"event": None})
    story.events = [event for event in story.events if last.event is None or event.event_id != last.event.event_id]
    (gap,) = gaps(story)
    assert (gap.kind, gap.service, f"row {last.seq} " in gap.sentence) == (Kind.UNREADABLE_ROW, "s0", True)


def test_an_event_that_came_after_the_first_look_is_found_at_the_second() -> None:
    story = told(1)
    whole = dict(story.entries)
    story.entries["s0"] = story.entries["s0"][:-1]
    found = story.reconciled()
    assert found.journal_matcher.to_look_for() == {"s0"}
    assert found.journal_matcher.to_look_for() == set()
    story.entries = whole
    found.journal_matcher.begin("s0")
    found.journal_matcher.add_entry(story.page("s0", whole["s0"]))
    assert list(found.gaps()) == []


@pytest.mark.parametrize("deed", sorted(OWN_EVENT_TYPES))
def test_what_was_done_to_the_record_itself_is_from_the_audit_and_no_forgery(deed: str) -> None:
    story = told(1)
    facts = {"event_id": uuid4(), "event_type": deed, "service": None, "seq": story.events[-1].seq + 1}
    story.events.append(story.events[-1].model_copy(update={**facts, "source": "cas-audit"}))
    assert gaps(story) == []
    story.events[-1] = story.events[-1].model_copy(update={"event_type": "revision.applied"})
    assert [gap.kind for gap in gaps(story)] == [Kind.UNKNOWN_SOURCE]


def test_a_service_that_fell_silent_half_way_proves_nothing() -> None:
    story = told(2)
    story.events = [event for event in story.events if event.service != "s1"][1:] + story.events[-1:]
    story.entries["s1"].pop()
    found = story.reconciled()
    found.journal_matcher.exclude("s1")
    assert {gap.service for gap in found.gaps()} == {"s0"}
