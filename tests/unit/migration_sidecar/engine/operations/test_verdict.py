"""Every branch of the table that decides what an attempt did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from migration_sidecar.database.journal_table import JournalRow
from migration_sidecar.engine.operations.verdict import Decision, ReadBack, WorkerExit, decide, unfinished_revision

PROBLEM = {
    "code": "CM-401",
    "title": "A revision failed",
    "detail": "It did.",
    "next_step": "Mend it.",
    "revision": "a3",
}
DONE, LOST, FAILED = WorkerExit(), WorkerExit(lost=True), WorkerExit(PROBLEM)


def row(kind: str, revision: str | None = "a3", attempt: int = 1, history: str = "alembic_version") -> JournalRow:
    return JournalRow(attempt, revision, kind, datetime.now(UTC), {}, history)


def found(*rows: JournalRow, **facts: Any) -> ReadBack:
    defaults = {"revisions": ["a2"], "moved": [], "recorded": set(), "left": 1, "obstacles": [], "invalid_indexes": []}
    return ReadBack(**{**defaults, "rows": [row("attempt", None), *rows], **facts})


APPLIED = (row("started"), row("applied"))
NOTHING_LEFT = {"moved": ["a3"], "recorded": {"a3"}, "left": 0}


@pytest.mark.parametrize("ending", [DONE, LOST, FAILED], ids=["done", "lost", "failed"])
def test_nothing_left_to_do_is_success_however_the_process_ended(ending: WorkerExit) -> None:
    assert decide(ending, found(*APPLIED, **NOTHING_LEFT), "orders") == (Decision.SUCCEEDED, None)


@pytest.mark.parametrize("ending", [DONE, LOST, FAILED], ids=["done", "lost", "failed"])
def test_a_revision_that_was_committed_half_way_needs_a_person_however_the_process_ended(ending: WorkerExit) -> None:
    verdict, problem = decide(ending, found(row("started")), "orders")
    assert verdict is Decision.ATTENTION
    assert problem is not None
    assert (problem.code, problem.revision, problem.service) == ("CM-402", "a3", "orders")


def test_half_a_revision_is_not_forgotten_because_everything_else_is_done() -> None:
    torn_before = found(row("started", "a2"), *APPLIED, **NOTHING_LEFT)
    assert decide(DONE, torn_before, "orders")[0] is Decision.ATTENTION


def test_half_a_revision_outside_a_transaction_names_what_to_drop() -> None:
    drop = "DROP INDEX CONCURRENTLY public.ix"
    verdict, problem = decide(FAILED, found(row("nontx_started"), invalid_indexes=[drop]), "orders")
    assert verdict is Decision.ATTENTION
    assert problem is not None
    assert problem.code == "CM-405"
    assert drop in problem.next_step
    _, without = decide(FAILED, found(row("nontx_started")), "orders")
    assert without is not None
    assert "Compare the database" in without.next_step


def test_a_revision_that_ended_in_another_attempt_is_still_half_done_in_this_one() -> None:
    rows = [row("started", attempt=1), row("started", attempt=2), row("applied", attempt=2)]
    assert unfinished_revision(rows) == rows[0]


@pytest.mark.parametrize("end", ["applied", "reverted"])
def test_a_revision_that_ended_is_whole(end: str) -> None:
    assert unfinished_revision([row("started"), row(end)]) is None
    assert unfinished_revision([row("nontx_started"), row(end)]) is None


@pytest.mark.parametrize("ending", [DONE, LOST, FAILED], ids=["done", "lost", "failed"])
def test_a_version_that_moved_without_a_journal_row_needs_a_person(ending: WorkerExit) -> None:
    verdict, problem = decide(ending, found(moved=["a3"], left=0), "orders")
    assert verdict is Decision.ATTENTION
    assert problem is not None
    assert problem.code == "CM-552"
    assert "a3" in problem.detail


def test_a_lost_process_that_changed_nothing_is_tried_again() -> None:
    verdict, problem = decide(LOST, found(), "orders")
    assert verdict is Decision.AGAIN
    assert problem is not None
    assert (problem.code, problem.retryable) == ("CM-514", True)


def test_a_process_that_says_done_is_not_believed_while_revisions_are_left() -> None:
    verdict, problem = decide(DONE, found(), "orders")
    assert verdict is Decision.ATTENTION
    assert problem is not None
    assert problem.code == "CM-552"


def test_a_failed_revision_is_a_failure_with_its_own_problem() -> None:
    verdict, problem = decide(FAILED, found(), "orders")
    assert verdict is Decision.FAILED
    assert problem is not None
    assert (problem.code, problem.revision, problem.service) == ("CM-401", "a3", "orders")


@pytest.mark.parametrize(
    ("sqlstate", "verdict"),
    [("55P03", Decision.AGAIN), ("40P01", Decision.AGAIN), ("53300", Decision.AGAIN), ("53100", Decision.FAILED)],
)
def test_only_reasons_that_pass_are_tried_again(sqlstate: str, verdict: Decision) -> None:
    assert decide(WorkerExit({**PROBLEM, "sqlstate": sqlstate}), found(), "orders")[0] is verdict


def test_facts_that_a_problem_has_no_room_for_are_left_out() -> None:
    assert decide(WorkerExit({**PROBLEM, "connection_lost": False}), found(), "orders")[1] is not None


@pytest.mark.parametrize("closing", ["failed", "refused", "cancelled", "resolved"])
def test_an_attempt_is_open_until_its_end_is_written(closing: str) -> None:
    second = [row("attempt", None, attempt=2)]
    assert found().unclosed_attempt == 1
    assert found(row(closing, None)).unclosed_attempt == 0
    assert found(row(closing, None), *second).unclosed_attempt == 2
    assert found(row(closing, None), *second).last_attempt == 2
    assert found(row(closing, None)).last_attempt == 1


def test_an_index_that_was_repaired_does_not_end_its_attempt() -> None:
    assert found(row("resolved", "a3")).unclosed_attempt == 1


def test_the_end_of_a_revision_in_one_history_is_not_its_end_in_another() -> None:
    rows = [row("started", history="other"), row("started"), row("applied")]
    assert unfinished_revision(rows) is rows[0]
    assert unfinished_revision([*rows, row("applied", history="other")]) is None


def test_a_revision_that_was_begun_again_for_the_next_tenant_is_not_ended_by_the_first() -> None:
    rows = [*APPLIED, row("started")]
    assert unfinished_revision(rows) is rows[2]


def test_a_failure_in_another_history_of_the_same_env_py_is_not_called_success() -> None:
    two = found(row("attempt", None, history="other"), *APPLIED, **NOTHING_LEFT)
    assert decide(FAILED, two, "orders")[0] is Decision.FAILED
    assert decide(DONE, two, "orders")[0] is Decision.SUCCEEDED
