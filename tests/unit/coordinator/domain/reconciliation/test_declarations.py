"""Services that were renamed or have left: what the catalog says of them is believed, counted, and no further."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.reconciliation.declarations import Declarations, Former, Left, Reason
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.messages import RecordedAuditEvent
from tests.unit.coordinator.domain.reconciliation.stories import START, Story, told

RENAMED = Declarations(former={"new": Former(names=frozenset({"s0"}))})
MOVED = Declarations(former={"new": Former(names=frozenset({"s0"}), databases=frozenset({"s0_db"}))})
WEEK = timedelta(days=7)


def renamed(story: Story) -> Story:
    """`s0` answers as `new` today; its rows and the audit tell what they told when they were written."""
    for kept in (story.entries, story.positions):
        kept["new"] = kept.pop("s0")  # type: ignore[attr-defined,index]
    return story


def reconciled(story: Story, declared: Declarations, *, without: tuple[str, ...] = ()) -> Reconciliation:
    found = Reconciliation(frozenset({*story.entries, *without}), declared=declared)
    for service, entries in story.entries.items():
        found.journal_matcher.begin(service)
        found.journal_matcher.add_entry(story.page(service, entries))
    for event in story.events:
        found.add_audit_event(event)
    return found


def gaps(story: Story, declared: Declarations, **more: Any) -> list[Discrepancy]:
    return list(reconciled(story, declared, **more).gaps())


def of(story: Story, service: str) -> list[RecordedAuditEvent]:
    return [event for event in story.events if event.service == service]


def changed(story: Story, service: str, /, **facts: Any) -> None:
    story.events = [event.model_copy(update=facts) if event.service == service else event for event in story.events]


def as_told_today(story: Story, **facts: Any) -> None:
    """The service makes the events of its rows anew, and a row may not say whose it is."""
    story.entries["new"] = [
        entry.model_copy(update={"event": entry.event.model_copy(update=facts)}) if entry.event else entry
        for entry in story.entries["new"]
    ]


def test_what_was_told_under_a_former_name_is_the_service_s_own() -> None:
    story = renamed(told(1))
    assert {gap.kind for gap in gaps(story, Declarations())} == {Kind.UNKNOWN_SOURCE, Kind.NOT_IN_AUDIT}
    found = reconciled(story, RENAMED)
    assert list(found.gaps()) == []
    assert found.accepted == {Reason("s0", "former name of new"): len(of(story, "s0"))}


def test_rows_that_do_not_say_whose_they_are_are_told_under_the_name_of_today() -> None:
    story = renamed(told(1))
    as_told_today(story, source="new/journal", service="new")
    assert gaps(story, RENAMED) == []
    assert {gap.kind for gap in gaps(story, Declarations(former={"new": Former(frozenset({"else"}))}))} >= {
        Kind.UNKNOWN_SOURCE
    }


def test_a_database_may_have_had_another_name() -> None:
    story = renamed(told(1))
    as_told_today(story, database="new_db")
    assert {gap.kind for gap in gaps(story, RENAMED)} == {Kind.OTHER_CONTENT}
    found = reconciled(story, MOVED)
    assert list(found.gaps()) == []
    assert Reason("new", "its database was called s0_db before") in found.accepted


@pytest.mark.parametrize("name", ["s0", "new"])
def test_a_former_name_covers_no_event_without_a_row(name: str) -> None:
    story = renamed(told(1))
    removed = next(entry for entry in story.entries["new"] if entry.event)
    story.entries["new"].remove(removed)
    story.events = [
        event.model_copy(update={"source": f"{name}/journal"}) if event.event_id == removed.event.event_id else event
        for event in story.events
    ]
    assert Kind.NOT_IN_JOURNAL in {gap.kind for gap in gaps(story, RENAMED)}


@pytest.mark.parametrize(
    "facts",
    [{"service": "new"}, {"source": "new/journal"}, {"actor": "somebody"}, {"service": "s1"}, {"source": "s1/journal"}],
    ids=str,
)
def test_a_former_name_covers_nothing_else_that_differs(facts: dict[str, str]) -> None:
    story = renamed(told(1))
    event = of(story, "s0")[0]
    story.events[story.events.index(event)] = event.model_copy(update=facts)
    assert gaps(story, RENAMED) != []


def test_a_row_that_says_a_former_name_is_not_told_under_another() -> None:
    story = renamed(told(1))
    changed(story, "s0", source="older/journal", service="older")
    both = Declarations(former={"new": Former(names=frozenset({"s0", "older"}))})
    assert {gap.kind for gap in gaps(story, both)} == {Kind.OTHER_CONTENT}


def test_an_event_of_a_former_name_is_about_that_name() -> None:
    story = renamed(told(1))
    as_told_today(story, source="new/journal", service="new")
    event = of(story, "s0")[0]
    story.events[story.events.index(event)] = event.model_copy(update={"service": "s1"})
    assert {gap.kind for gap in gaps(story, RENAMED)} == {Kind.OTHER_CONTENT}


def test_a_service_that_left_has_told_what_it_told_until_then() -> None:
    story = told(2)
    del story.entries["s0"]
    (kind,) = {gap.kind for gap in gaps(story, Declarations())}
    assert kind is Kind.UNKNOWN_SOURCE
    left = Declarations(left={"s0": Left(START + WEEK, "its work is done")})
    found = reconciled(story, left)
    assert list(found.gaps()) == []
    assert found.accepted == {Reason("s0", "left the fleet: its work is done"): len(of(story, "s0"))}


def test_what_is_recorded_in_its_name_after_it_left_was_forged() -> None:
    story = told(2)
    del story.entries["s0"]
    # Who forges an event chooses when it occurred, and not when it was recorded.
    forged = of(story, "s0")[0]
    story.events[story.events.index(forged)] = forged.model_copy(update={"recorded_at": START + WEEK})
    (gap,) = gaps(story, Declarations(left={"s0": Left(START + WEEK, "gone")}))
    assert (gap.kind, gap.seq) == (Kind.UNKNOWN_SOURCE, forged.seq)
    assert "had left the fleet by 2026-01-08 00:00 UTC" in gap.sentence


def test_an_unknown_service_s_gap_names_the_settings() -> None:
    story = told(2)
    del story.entries["s0"]
    assert all("former_names, former_services in fleet.toml" in gap.sentence for gap in gaps(story, Declarations()))


def test_a_member_that_has_no_database_today_is_counted_and_not_passed_over() -> None:
    story = told(2)
    del story.entries["s0"]
    found = reconciled(story, Declarations(without_database={"s0": "it keeps nothing"}), without=("s0",))
    assert list(found.gaps()) == []
    assert found.accepted == {Reason("s0", "no database: it keeps nothing"): len(of(story, "s0"))}
