"""What one journal proves by itself."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.domain.reconciliation.course import Course
from coordinator.domain.reconciliation.gap import Gap, Kind
from migration_sidecar.journal_messages import HistoryPosition, JournalEntry


def row(kind: str, revision: str | None = None, **facts: Any) -> JournalEntry:
    plain = {"seq": 1, "history": "alembic_version", "operation_id": "op", "attempt": 1, "operation_state": "succeeded"}
    return JournalEntry.model_validate(
        {**plain, "kind": kind, "revision": revision, "relayed": True, "seconds_ago": 100, **facts}
    )


def up(revision: str, before: list[str], heads: list[str] | None = None) -> JournalEntry:
    return row("applied", revision, before=before, heads=heads or [revision])


def down(revision: str, heads: list[str]) -> JournalEntry:
    return row("reverted", revision, before=[revision], heads=heads)


def followed(*entries: JournalEntry, at: list[str] | None = None) -> list[Gap]:
    course = Course("orders")
    for entry in entries:
        course.follow(entry)
    return list(course.gaps([] if at is None else [HistoryPosition(history="alembic_version", revisions=at)]))


BEGAN = row("attempt")


@pytest.mark.parametrize(
    ("entries", "at"),
    [
        ([], ["somewhere"]),
        ([BEGAN, up("a", []), up("b", ["a"]), down("b", ["a"]), up("b", ["a"])], ["b"]),
        ([BEGAN, up("b", ["a"])], ["b"]),
        ([BEGAN, row("stamped", "c", before=[], heads=["c"]), up("d", ["c"])], ["d"]),
        ([BEGAN, up("a", []), row("stamped", None, before=["a"], heads=[]), up("a", [])], ["a"]),
        ([BEGAN, up("left", ["a"], ["left"]), up("right", [], ["left", "right"])], ["right", "left"]),
        ([BEGAN, up("both", ["left", "right"])], ["both"]),
        ([BEGAN, row("applied", "a"), row("applied", "b")], ["b"]),
        ([BEGAN, up("a", []), row("applied", "t", before=[], heads=["t"], history="tenant.alembic_version")], ["a"]),
    ],
    ids=[
        "never migrated by us",
        "up and down and up",
        "migrated before there was a journal",
        "adopted",
        "stamped back and migrated anew",
        "two branches",
        "a merge",
        "a journal of the first release",
        "two tenants",
    ],
)
def test_a_course_that_connects_is_left_in_peace(entries: list[JournalEntry], at: list[str]) -> None:
    assert followed(*entries, at=at) == []


@pytest.mark.parametrize(
    ("entries", "at", "kind", "words"),
    [
        ([up("a", []), up("c", ["b"])], ["c"], Kind.COURSE_BROKEN, "from b, and the row before it ended at a"),
        ([up("a", []), up("b", ["a"])], ["c"], Kind.VERSION_UNEXPLAINED, "is at c, and the journal leads to b"),
        ([up("a", []), up("b", ["a"])], [], Kind.VERSION_UNEXPLAINED, "is at nothing, and the journal leads to b"),
        ([up("a", []), up("a", [])], ["a"], Kind.APPLIED_TWICE, "a was applied twice without a revert between"),
    ],
    ids=["a row less", "moved past the journal", "emptied", "applied twice"],
)
def test_a_course_that_does_not_connect_is_named(
    entries: list[JournalEntry], at: list[str], kind: Kind, words: str
) -> None:
    (gap,) = followed(BEGAN, *entries, at=at)
    assert gap.kind is kind
    assert words in gap.sentence


def test_where_a_database_was_before_its_journal_is_told() -> None:
    course = Course("orders")
    course.follow(BEGAN)
    course.follow(up("b", ["a"]))
    assert course.began_elsewhere == ["a"]


@pytest.mark.parametrize("ending", ["failed", "refused", "cancelled", "resolved"])
def test_an_attempt_of_an_operation_that_failed_has_an_end(ending: str) -> None:
    assert followed(row("attempt", operation_state="failed"), row(ending, operation_state="failed")) == []
    (gap,) = followed(row("attempt", operation_state="failed"))
    assert gap.kind is Kind.ATTEMPT_WITHOUT_END


@pytest.mark.parametrize("state", ["accepted", "running", "cancelling", "succeeded", None])
def test_an_attempt_may_be_under_way_or_have_found_nothing_to_do(state: str | None) -> None:
    assert followed(row("attempt", operation_state=state)) == []


def test_an_attempt_that_ended_a_moment_ago_may_have_its_last_row_on_the_way() -> None:
    assert followed(row("attempt", operation_state="failed", seconds_ago=1)) == []


def test_effects_without_a_beginning_are_named_once() -> None:
    (gap,) = followed(up("a", []), up("b", ["a"]), at=["b"])
    assert gap.kind is Kind.ATTEMPT_MISSING


def test_an_ending_alone_is_an_attempt_that_had_no_session() -> None:
    assert followed(row("failed", operation_state="failed")) == []


def test_a_number_that_was_left_out_is_named() -> None:
    (gap,) = followed(row("attempt"), row("failed"), row("attempt", attempt=3))
    assert (gap.kind, "Attempt 2 of op has no row" in gap.sentence) == (Kind.ATTEMPT_MISSING, True)
