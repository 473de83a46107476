"""What one journal proves by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.journal_continuity import JournalContinuity
from migration_sidecar.contract.journal import HistoryPosition, JournalEntry
from migration_sidecar.contract.messages import AuditEvent


def row(kind: str, revision: str | None = None, **facts: Any) -> JournalEntry:
    plain = {"seq": 1, "history": "alembic_version", "operation_id": "op", "attempt": 1, "operation_state": "succeeded"}
    return JournalEntry.model_validate(
        {**plain, "kind": kind, "revision": revision, "relayed": True, "seconds_ago": 100, **facts}
    )


def up(revision: str, before: list[str], heads: list[str] | None = None, **facts: Any) -> JournalEntry:
    return _moved("applied", revision, before, heads or [revision], **facts)


def down(revision: str, heads: list[str], **facts: Any) -> JournalEntry:
    return _moved("reverted", revision, [revision], heads, **facts)


def stamp(revision: str, before: list[str], heads: list[str]) -> JournalEntry:
    return _moved("stamped", revision, before, heads)


def _moved(kind: str, revision: str, before: list[str], heads: list[str], sha: str | None = None) -> JournalEntry:
    """`sha` stands for the file as it was then."""
    event = AuditEvent(
        event_id=uuid4(),
        event_type=f"revision.{kind}",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        source="orders/journal",
        detail={"sha256": sha} if sha else {},
    )
    return row(kind, revision, before=before, heads=heads, event=event)


def followed(*entries: JournalEntry, at: list[str] | None = None) -> list[Discrepancy]:
    course = JournalContinuity("orders")
    for entry in entries:
        course.add(entry)
    return list(course.gaps([] if at is None else [HistoryPosition(history="alembic_version", revisions=at)]))


BEGAN = row("attempt")
FORK = [up("s1", []), up("s2a", ["s1"]), up("s2b", ["s1"], ["s2a", "s2b"])]
MERGED = [*FORK, up("s3", ["s2a", "s2b"])]


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
        ([BEGAN, *MERGED, up("s4", ["s3"]), down("s4", ["s3"]), down("s3", ["s2a", "s2b"])], ["s2a", "s2b"]),
        ([BEGAN, *FORK, down("s2a", ["s2b"]), up("s2a", ["s1"], ["s2a", "s2b"])], ["s2a", "s2b"]),
        ([BEGAN, up("a", []), up("b", ["a"]), up("x", ["a"], ["b", "x"]), down("x", ["b"])], ["b"]),
        ([BEGAN, up("a", []), up("x", [], ["a", "x"]), up("x2", ["a", "x"]), up("b", ["a"], ["b", "x2"])], ["b", "x2"]),
        (
            [BEGAN, up("new", ["old"], ["m", "new"]), up("newer", ["lower"], ["m", "new", "newer"])],
            ["m", "new", "newer"],
        ),
        ([BEGAN, *FORK, stamp("s2a", ["s2a", "s2b"], []), up("s1", [])], ["s1"]),
        ([BEGAN, up("a", []), stamp("l", ["a"], ["l"]), stamp("r", ["a"], ["l", "r"])], ["l", "r"]),
        ([BEGAN, up("a", []), up("b", ["a"]), stamp("c", [], ["c"])], ["c"]),
        ([BEGAN, up("a", [], sha="1"), up("b", ["a"], sha="2"), down("b", [], sha="squashed"), up("a", [])], ["a"]),
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
        "a fork and its merge, up and down",
        "one side of a fork, down and up",
        "a revision whose parent lies under another head",
        "a dependency across branches",
        "branches from under a database that was adopted",
        "stamped to base",
        "stamped to two at once",
        "stamped after the table was purged",
        "a file that was squashed in the meantime",
    ],
)
def test_a_course_that_connects_is_left_in_peace(entries: list[JournalEntry], at: list[str]) -> None:
    assert followed(*entries, at=at) == []


@pytest.mark.parametrize(
    ("entries", "at", "kind", "words"),
    [
        ([up("a", []), up("c", ["b"])], ["c"], Kind.HISTORY_BROKEN, "from b, and the row before it ended at a"),
        ([up("a", []), up("b", ["a"])], ["c"], Kind.VERSION_UNEXPLAINED, "is at c, and the journal leads to b"),
        ([up("a", []), up("b", ["a"])], [], Kind.VERSION_UNEXPLAINED, "is at nothing, and the journal leads to b"),
        ([up("a", []), up("a", [])], ["a"], Kind.APPLIED_TWICE, "a was applied twice without a revert between"),
        (FORK[:1] + FORK[2:], ["s2a", "s2b"], Kind.HISTORY_BROKEN, "left s2a, s2b, and that does not follow from s1"),
        ([*FORK, up("s3", ["s2b"])], ["s3"], Kind.HISTORY_BROKEN, "left s3, and that does not follow from s2a, s2b"),
        ([*MERGED, down("s3", ["s2a"])], ["s2a"], Kind.HISTORY_BROKEN, "s3 was reverted and left s2a"),
        ([*FORK[:2], up("x", ["s9"], ["s2a", "x"])], ["s2a", "x"], Kind.HISTORY_BROKEN, "x was applied from s9"),
        ([*FORK, down("s2b", ["s2a", "s1"])], ["s2a", "s1"], Kind.HISTORY_BROKEN, "s2b was reverted and left s1, s2a"),
        (
            [up("a", []), up("b", ["a"]), down("b", ["a"]), up("c", ["b"], ["a", "c"])],
            ["a", "c"],
            Kind.HISTORY_BROKEN,
            "c was applied from b",
        ),
        (
            [stamp("m", [], ["m"]), up("x", ["k"], ["m", "x"]), down("x", ["m"]), up("y", ["x"], ["m", "y"])],
            ["m", "y"],
            Kind.HISTORY_BROKEN,
            "y was applied from x",
        ),
        ([up("a", []), stamp("c", ["b"], ["c"])], ["c"], Kind.HISTORY_BROKEN, "c was stamped from b"),
        ([up("a", []), stamp("c", ["a"], ["a", "c"])], ["a", "c"], Kind.HISTORY_BROKEN, "c was stamped and left a, c"),
    ],
    ids=[
        "a row less",
        "moved past the journal",
        "emptied",
        "applied twice",
        "the first side of a fork is missing",
        "a head that nothing took away",
        "a merge that gives only one side back",
        "on a revision that nobody applied",
        "a parent given back that another head builds on",
        "on a revision that was reverted",
        "on a revision that was reverted, in an adopted database",
        "stamped from elsewhere",
        "stamped, and the old version stayed",
    ],
)
def test_a_course_that_does_not_connect_is_named(
    entries: list[JournalEntry], at: list[str], kind: Kind, words: str
) -> None:
    (gap,) = followed(BEGAN, *entries, at=at)
    assert gap.kind is kind
    assert words in gap.sentence


def test_where_a_database_was_before_its_journal_is_told() -> None:
    course = JournalContinuity("orders")
    course.add(BEGAN)
    course.add(up("b", ["a"]))
    assert course.initial_revisions == ["a"]


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
