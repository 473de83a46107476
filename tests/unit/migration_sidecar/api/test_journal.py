"""A journal row can hold whatever its database's role writes: none keeps another from being shown and told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_sidecar.api.journal import PAGE_CHARACTERS, entries_of, first_page
from migration_sidecar.contract.journal import JournalEntry, JournalPage
from migration_sidecar.engine.journal_events import EVENT_TYPES, NOT_RELAYED, audit_event

HERE = ("orders", "orders_db")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(seq: int, kind: str = "applied", at: datetime | None = NOW, **facts: Any) -> dict[str, Any]:
    detail = facts.pop("detail", json.dumps({"before": [], "heads": ["a1"]}))
    return {
        "seq": seq,
        "event_id": UUID(int=seq % 2**64),
        "operation_id": "op-1",
        "attempt": 1,
        "revision": "a1",
        "kind": kind,
        "history": "alembic_version",
        "at": at,
        "detail": detail,
        "operation_state": "succeeded",
        "relayed": False,
        "seconds_ago": 1.0,
        **facts,
    }


def nested(name: str, levels: int) -> str:
    return f'{{"{name}": {"[" * levels}1{"]" * levels}}}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = (
    "before", "heads", "heads_before", "problem", "adopted", "service", "actor", "request_id", "duration_ms", "way_in",
    "tables",
)  # fmt: skip
DETAILS = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5).map(json.dumps),
    JSON.map(json.dumps),
    st.builds(nested, st.sampled_from(["tables", "before", "problem", "message"]), st.integers(1, 1200)),
    st.sampled_from(["", "{", "[]", "null", "1" * 5000, "[" * 100_000, '{"before": "x"}', '{"heads": [1]}']),
)
HOSTILE = st.builds(
    row,
    st.integers(1, 6),
    st.sampled_from([*EVENT_TYPES, *NOT_RELAYED]) | st.text(max_size=20),
    st.none() | st.just(NOW),
    detail=DETAILS,
    revision=st.none() | st.text(max_size=300),
    operation_id=st.none() | st.text(max_size=300),
    attempt=st.none() | st.integers(-(2**31), 2**31 - 1),
    operation_state=st.none() | st.text(max_size=20),
    event_id=st.uuids(),
)


@given(st.lists(HOSTILE, max_size=6))
def test_whatever_stands_in_a_row_the_others_are_shown_beside_it(hostile: list[dict[str, Any]]) -> None:
    good = row(7)
    rows = sorted([*hostile, good], key=lambda each: each["seq"])
    shown = entries_of(rows, *HERE)
    assert [entry.seq for entry in shown] == sorted({each["seq"] for each in rows})
    assert shown[-1].event == audit_event(good, *HERE)
    page = JournalPage(service="orders", database="orders_db", entries=shown, positions=[])
    assert JournalPage.model_validate_json(page.model_dump_json(exclude_none=True)).entries[-1] == shown[-1]


@given(HOSTILE)
def test_what_the_relay_would_send_and_what_the_door_shows_are_the_same(hostile: dict[str, Any]) -> None:
    """Or a reconciliation would find an event without a row, or a row that nobody misses."""
    (entry,) = entries_of([hostile], *HERE)
    if hostile["kind"] in NOT_RELAYED:
        return
    try:
        sent = audit_event(hostile, *HERE)
    except Exception:
        sent = None
    assert entry.event == sent
    assert entry.is_sent


def is_unreadable(entry: JournalEntry) -> bool:
    return entry.is_sent and entry.event is None


@pytest.mark.parametrize(
    "facts",
    [
        {"at": None},
        {"detail": '{"before": "x"}'},
        {"detail": '{"heads": {"a": 1}}'},
        {"detail": "[]"},
        {"detail": '{"duration_ms": 1e999}'},
        {"detail": nested("tables", 40)},
        {"detail": nested("tables", 300)},
        {"detail": None},  # too large to be read at all
        {"kind": "dropped everything"},
        {"kind": "started", "detail": "null"},
    ],
    ids=lambda facts: str(facts)[:40],
)
def test_a_row_that_cannot_be_read_is_shown_as_such(facts: dict[str, Any]) -> None:
    (entry,) = entries_of([row(1, **facts)], *HERE)
    assert is_unreadable(entry)
    assert entry.kind in (facts.get("kind", "applied"), "unreadable")


def test_of_two_rows_with_one_number_neither_is_believed() -> None:
    shown = entries_of([row(1), row(2), row(2, event_id=uuid4()), row(3)], *HERE)
    assert [(entry.seq, is_unreadable(entry)) for entry in shown] == [(1, False), (2, True), (3, False)]


def test_large_rows_make_a_page_shorter_and_never_empty() -> None:
    """The reader of a page reads only so much of it, and would see none of its rows otherwise."""
    large = json.dumps({"before": ["x" * (PAGE_CHARACTERS // 2)]})
    rows = [row(1), row(2, detail=large), row(3, detail=large), row(3), row(4)]
    assert [each["seq"] for each in first_page(rows, 4)] == [1, 2]
    assert [each["seq"] for each in first_page(rows[2:], 1)] == [3, 3]
    assert [each["seq"] for each in first_page([row(1, detail=large * 3), row(2)], 2)] == [1]
    assert first_page([], 5) == []
