"""Every refusal says what, why and what to do, and none repeats what it should not."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_sidecar.contract import errors
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import LockHolder, Problem
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.refusal import MigrationRefused

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "NotAdopted": ("CM-554", "A detail."),
    "BadRequest": ("target: it is wrong.",),
    "BodyTooLarge": (65536,),
    "CallsCannotBeVerified": ("CALL_KEYS",),
    "CallerNotPermitted": ("The caller cds-task is not one of those who may ask for this here.", "MIGRATION_CALLERS"),
    "UnknownTarget": ("x",),
    "RevisionNotApplied": ("x",),
    "UnknownOperation": ("x",),
    "IdempotencyConflict": ("x",),
    "PlanChanged": ("It did.",),
    "HistoryUnreadable": ("CM-304", "A detail."),
    "EnvironmentStillLoading": (12.0, 120.0),
    "NoConfiguration": ("alembic.ini",),
    "DatabaseUnreachable": ("CM-513", "A detail."),
    "JournalInSight": ("CM-415", "A detail."),
    "DatabaseRefused": ("CM-505", "A detail."),
    "WorkerUnavailable": ("The process did not start",),
    "LockBusy": (LockHolder(pid=7, application="x"),),
    "Misconfigured": ("KEY", "it is not good"),
    "OtherDatabase": ("orders at db:5432",),
    "NoEnvironment": ("alembic.ini",),
}
OPTIONS: dict[str, dict[str, Any]] = {"NoEnvironment": {"named": True}}
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, ProblemError) and kind is not ProblemError
}


def test_every_kind_of_error_is_looked_at_here() -> None:
    assert set(KINDS) == set(ARGUMENTS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_error_is_made_of_whole_sentences_and_a_stable_code(name: str) -> None:
    error = KINDS[name](*ARGUMENTS[name], **OPTIONS.get(name, {}))
    problem: Problem = error.problem
    assert problem.code.startswith("CM-")
    assert 400 <= error.status < 600
    assert not problem.title.endswith(".")
    for sentence in (problem.detail, problem.next_step):
        assert sentence[0].isupper() or sentence[0] in "'" or sentence.startswith(("target", "KEY"))
        assert sentence.endswith(".")
    assert problem.code in str(error)
    assert ProblemError.of(problem).problem == problem


def test_a_lock_without_a_visible_holder_still_makes_a_sentence() -> None:
    assert "held by another session" in errors.LockBusy(None).problem.detail


def test_a_refusal_of_the_migration_process_is_plain_data() -> None:
    problem = Problem.of(**MigrationRefused("CM-404", "A detail.").facts)
    assert (problem.title, problem.retryable) == ("A lock is taken", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach postgresql://ada:secret@h/x now", "cannot reach … now"),
        ("duplicate key value 'secret' in t", "duplicate key value … in t"),
        ('failed for "ada:secret@h"', "failed for …"),
        ("first line\nDETAIL: secret", "first line"),
        ("", None),
    ],
)
def test_literals_addresses_and_details_are_left_out_of_a_failure(text: str, shown: str | None) -> None:
    problem = describe_failure(ValueError(text), "a1")
    assert problem["server_message"] == shown
    assert "secret" not in str(problem)


def test_a_failure_before_any_revision_is_the_environments() -> None:
    assert describe_failure(ValueError("x"), None)["code"] == "CM-407"
    assert describe_failure(ValueError("x"), "a1")["code"] == "CM-401"


@given(st.text())
def test_any_text_an_exception_may_hold_makes_a_problem(text: str) -> None:
    Problem.of(**describe_failure(RuntimeError(text), "a1")).model_dump_json()


def test_what_is_said_is_no_sentence_of_its_own_and_is_ended_once() -> None:
    problem = Problem.of(**describe_failure(RuntimeError("No connection is set."), None))
    assert problem.full_detail.endswith("before any revision. It said: No connection is set.")


@pytest.mark.parametrize(
    ("sqlstate", "advice"),
    [("42501", "Have the right granted"), ("55000", "Leave the database at its revision"), ("23505", "Correct the")],
)
def test_the_advice_goes_by_the_code_that_the_server_gave(sqlstate: str, advice: str) -> None:
    error = RuntimeError("no")
    error.sqlstate = sqlstate  # type: ignore[attr-defined]
    assert Problem.of(**describe_failure(error, "a1")).next_step.startswith(advice)
