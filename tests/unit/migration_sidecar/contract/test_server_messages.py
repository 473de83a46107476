"""What PostgreSQL, a driver or Python said may quote rows of users: people read it, the audit never has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.audit_events import UNKNOWN_ACTOR, conflict_event, rejection_event, run_event
from migration_sidecar.contract.audit_detail import error_without_literals, problem_facts, truncate_detail
from migration_sidecar.contract.messages import AuditEvent, Operation, Problem
from migration_sidecar.database.journal_table import JournalRow
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.journal_events import EVENT_TYPES, audit_event
from migration_sidecar.engine.operations.verdict import ReadBack, WorkerExit, decide
from migration_sidecar.protocol.url import make_url
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.session.transactions.transaction_errors import refusal_for

NOW = datetime(2026, 11, 22, tzinfo=UTC)
QUOTED = "Lovelace 4711"
# Whatever stands around it, what ends our own sentence included.
around = st.one_of(st.text(), st.just("; the database is at the revision before it."), st.just(" with E: "))
said = st.builds(lambda before, after: f"{before}{QUOTED}{after}", around, around)


class DriverError(Exception):
    """With the SQLSTATE that a driver gives."""

    sqlstate = "25001"


class Wrapped(Exception):
    """As SQLAlchemy wraps it."""

    def __init__(self, original: Exception) -> None:
        super().__init__(str(original))
        self.orig = original


def found(kind: str) -> ReadBack:
    row = JournalRow(1, "a2", kind, NOW, {}, "alembic_version")
    return ReadBack(revisions=[], rows=[row], moved=[], recorded=set(), left=1, obstacles=[], invalid_indexes=[])


def of_a_revision(words: str) -> Problem:
    return Problem.of(**describe_failure(Wrapped(DriverError(words)), "a2"))


def of_the_environment(words: str) -> Problem:
    return Problem.of(**describe_failure(RuntimeError(words), None))


def judged(words: str) -> Problem:
    return _judged(words, "attempt")


def torn(words: str) -> Problem:
    return _judged(words, "started")


def torn_outside_a_transaction(words: str) -> Problem:
    return _judged(words, "nontx_started")


def _judged(words: str, kind: str) -> Problem:
    _, problem = decide(WorkerExit(describe_failure(DriverError(words), "a2")), found(kind), "orders")
    assert problem is not None
    return problem


def in_a_transaction(words: str) -> Problem:
    refusal = refusal_for(Wrapped(DriverError(words)), "a2", Path("a2.py"), external=False)
    assert refusal is not None
    return Problem.of(**refusal.facts)


def of_a_short_session(words: str) -> Problem:
    database: Any = DatabasePool(None, "orders")  # type: ignore[arg-type]
    database._url = make_url("postgresql://ada@127.0.0.1/orders")
    error = database._unreachable(asyncpg.InsufficientPrivilegeError(words))
    problem: Problem = error.problem
    return problem


SITES = [
    of_a_revision,
    of_the_environment,
    judged,
    torn,
    torn_outside_a_transaction,
    in_a_transaction,
    of_a_short_session,
]


def events_of(problem: Problem) -> list[AuditEvent]:
    """Every kind of event that has something of a problem in it."""
    stored: dict[str, Any] = {"problem": problem.model_dump(exclude_none=True), "server_message": QUOTED}
    row = {"event_id": "00000000-0000-0000-0000-000000000000", "at": NOW, "operation_id": "o-1", "attempt": 1}
    row |= {"revision": "a2", "detail": json.dumps(stored)}
    facts = problem_facts(problem)
    return [
        *(audit_event({**row, "kind": kind}, "orders", "orders") for kind in EVENT_TYPES),
        rejection_event(("k",), NOW, problem, request_id=None),
        conflict_event("r-1", "d", NOW, problem, UNKNOWN_ACTOR),
        run_event("migration.finished", "r-1", UNKNOWN_ACTOR, NOW, error=facts, obstacles=[facts]),
    ]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
@given(said)
def test_a_servers_words_stand_apart_from_our_sentence_and_enter_no_event(site: Any, words: str) -> None:
    problem: Problem = site(words)
    assert QUOTED not in problem.detail + problem.next_step + problem.title
    assert not any(QUOTED in event.model_dump_json() for event in events_of(problem))


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_whoever_reads_the_answer_still_sees_them(site: Any) -> None:
    problem: Problem = site(f"no such thing: {QUOTED}")
    assert QUOTED in (problem.server_message or "")
    assert QUOTED in problem.full_detail


@given(said)
def test_they_enter_no_event_even_where_a_problem_is_put_into_it_as_it_is(words: str) -> None:
    whole = Problem.of("CM-401", "It failed.", server_message=words).model_dump(mode="json")
    facts = {"error": whole, "obstacles": [whole, {"inside": [whole]}], "plan_digest": "p"}
    assert QUOTED not in json.dumps(truncate_detail("migration.finished", facts), ensure_ascii=False)


STORED = [
    "Revision a2 stopped with UniqueViolation: {}; the database is at the revision before it.",
    "The migration stopped before any revision with ValueError: {}.",
    "Revision a2 committed by itself and then failed, so a part of it exists. Revision a2 stopped with E: {}.",
]


@pytest.mark.parametrize("sentence", STORED)
@given(words=said)
def test_what_an_older_version_stored_with_them_in_the_detail_enters_no_event_either(sentence: str, words: str) -> None:
    problem = Problem(code="CM-401", title="A revision failed", detail=sentence.format(words), next_step="Mend it.")
    assert not any(QUOTED in event.model_dump_json() for event in events_of(problem))


def test_an_operation_that_an_older_version_stored_is_read() -> None:
    error = {
        "code": "CM-401",
        "title": "A revision failed",
        "detail": "It did: no.",
        "next_step": "Mend it.",
    }
    stored = {"operation_id": "o-1", "service": "orders", "database": "orders", "action": "upgrade", "target": "head"}
    operation = Operation.model_validate_json(
        json.dumps({**stored, "state": "failed", "accepted_at": NOW.isoformat(), "error": error})
    )
    assert operation.error is not None
    assert operation.error.full_detail == "It did: no."


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_our_own_sentences_of_today_come_into_the_audit_as_they_are(site: Any) -> None:
    problem: Problem = site(QUOTED)
    assert error_without_literals(problem.detail) == problem.detail
