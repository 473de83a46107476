"""What of a journal row goes into the audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.engine.journal_events import EVENT_TYPES, audit_event

HERE = ("orders", "orders_db")


def row(kind: str, revision: str | None = None, **detail: Any) -> dict[str, Any]:
    return {
        "seq": 1,
        "event_id": uuid4(),
        "operation_id": "op-1",
        "attempt": 2,
        "revision": revision,
        "kind": kind,
        "at": datetime.now(UTC),
        "detail": json.dumps({"actor": "ada", "request_id": "r-1", **detail}),
    }


def test_a_failed_attempt_names_its_revision_and_its_sqlstate() -> None:
    problem = {"code": "CM-401", "detail": "It stopped.", "revision": "a2", "sqlstate": "42703", "next_step": "…"}
    event = audit_event(row("failed", problem=problem), *HERE)

    assert (event.event_type, event.outcome) == ("attempt.failed", "CM-401")
    assert event.detail == {
        "operation_id": "op-1",
        "attempt": 2,
        "revision": "a2",
        "sqlstate": "42703",
        "error": "It stopped.",
        "actor_basis": "claimed",
    }


@pytest.mark.parametrize(("beside", "told"), [("other_tables", True), ("nothing", None), (None, None)])
def test_that_somebody_called_the_tables_other_people_s_is_told_once_with_the_attempt(
    beside: str | None, told: bool | None
) -> None:
    began = audit_event(row("attempt", beside=beside), *HERE)
    assert began.detail.get("beside_other_tables") is told
    assert validation_error(began) is None
    assert "beside_other_tables" not in audit_event(row("applied", "a1", beside=beside), *HERE).detail


def test_only_known_fields_are_passed_on() -> None:
    event = audit_event(row("applied", "a1", sha256="ab", heads=["a1"], before=[], client_name="Ada Lovelace"), *HERE)

    assert "Lovelace" not in event.model_dump_json()
    assert (event.from_revision, event.to_revision, event.actor) == (None, "a1", "ada")


@pytest.mark.parametrize(
    ("before", "heads_before", "told"),
    [
        (["a1"], ["a1"], None),
        (["a1"], ["a1", "b1"], ["a1", "b1"]),
        (["a1"], [], []),
        ([], None, None),
    ],
    ids=["on the only head", "beside another head", "its parent lies under nothing", "of an earlier release"],
)
def test_the_heads_before_a_revision_are_told_where_it_is_not_built_on_just_them(
    before: list[str], heads_before: list[str] | None, told: list[str] | None
) -> None:
    """An audit of an earlier release takes the events of histories of one line as they are."""
    facts = {} if heads_before is None else {"heads_before": heads_before}
    event = audit_event(row("applied", "a2", before=before, heads=["a2"], **facts), *HERE)
    assert event.detail.get("heads_before") == told
    assert validation_error(event) is None


def test_a_row_says_itself_whose_it_is_whoever_relays_it() -> None:
    event = audit_event(row("applied", "a1", service="billing"), *HERE)

    assert (event.service, event.source) == ("billing", "billing/journal")


@pytest.mark.parametrize(
    ("way_in", "basis"), [("endpoint", "claimed"), ("by hand", "operating system"), ("start-up", "service itself")]
)
def test_the_audit_is_told_how_the_actor_is_known(way_in: str, basis: str) -> None:
    assert audit_event(row("attempt", way_in=way_in), *HERE).detail["actor_basis"] == basis


def test_an_adoption_is_told_with_its_proof() -> None:
    proof = {"catalog_sha256": "ab", "objects": 12, "built_in": "a database of its own"}
    detail = audit_event(row("stamped", "a1", adopted=proof), *HERE).detail
    assert proof.items() <= detail.items()


SECRET = "p%40ss:w/rd'\" Ada Lovelace"
FOREIGN = [
    f"Revision a2 stopped with DataError: invalid input: {SECRET}; the database is at the revision before it.",
    f"Revision a2 stopped with ValueError: {SECRET}\nand more {SECRET}; the database is at the revision before it.",
    f"The migration stopped before any revision with mymodule.Odd: {SECRET}.",
    f"Revision a2 committed by itself and then failed, so a part of it exists. Revision a2 stopped with E: {SECRET}.",
]


@pytest.mark.parametrize("sentence", FOREIGN)
@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_what_a_database_or_a_revision_quotes_of_its_rows_never_enters(kind: str, sentence: str) -> None:
    problem = {"code": "CM-401", "detail": sentence, "revision": "a2", "next_step": SECRET, "title": SECRET}
    more = {"dropped_rows": SECRET, "url": SECRET, "invalid_before": [SECRET]}
    event = audit_event(row(kind, "a2", problem=problem, **more), *HERE)
    assert "Lovelace" not in event.model_dump_json()
    assert "w/rd" not in event.model_dump_json()
    assert validation_error(event) is None


def test_the_largest_journal_row_gives_an_event_the_audit_takes() -> None:
    long = "é" * 100_000
    many = [f"a_schema.a_table_with_a_long_name_{number}" for number in range(5000)]
    problem = {"code": "CM-401", "detail": long, "sqlstate": "12345"}
    revisions = {"heads": many, "before": many, "heads_before": many[1:]}
    facts = {"tables": many, **revisions, "message": long, "way_in": "by hand", "problem": problem}
    event = audit_event(row("applied", "a" * 255, **facts), *HERE)
    assert validation_error(event) is None
    assert event.detail["cut"] == ["heads_before", "message", "tables"]


def test_the_same_row_gives_the_same_event_whoever_relays_it() -> None:
    one = row("applied", "a1", service="billing", tables=["public.t"])
    assert audit_event(one, "billing", "db") == audit_event(one, "shipping", "db")
