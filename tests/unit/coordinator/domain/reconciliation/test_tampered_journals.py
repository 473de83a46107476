"""Journal rows as a database has them, and an audit that was told of them: no row can be changed afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.domain.reconciliation.discrepancy import Discrepancy
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.api.journal import entries_of
from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import RecordedAuditEvent
from migration_sidecar.engine.journal_events import audit_event
from tests.unit.coordinator.domain.reconciliation.stories import position
from tests.unit.coordinator.domain.reconciliation.test_random_histories import Walk, walks

Row = dict[str, Any]
HERE = ("orders", "orders_db")
START = datetime(2026, 1, 1, tzinfo=UTC)


def stored(walk: Walk) -> list[Row]:
    """The walk as rows of a journal table; each attempt writes a row of its own first."""
    rows: list[Row] = []
    for attempt, (_, entries) in enumerate(groupby(walk.rows, lambda entry: entry.attempt), start=1):
        rows.append(_row(len(rows) + 1, "attempt", attempt, None, {}))
        for entry in entries:
            told = {"before": entry.before, "heads": entry.heads, "heads_before": entry.heads_before}
            rows.append(_row(len(rows) + 1, entry.kind, attempt, entry.revision, without_none(told)))
    return rows


def without_none(facts: Row) -> Row:
    return {name: value for name, value in facts.items() if value is not None}


def _row(seq: int, kind: str, attempt: int, revision: str | None, detail: Row) -> Row:
    return {
        "seq": seq,
        "event_id": UUID(int=seq),
        "operation_id": "op",
        "attempt": attempt,
        "revision": revision,
        "kind": kind,
        "history": "alembic_version",
        "at": START + timedelta(seconds=seq),
        "detail": json.dumps(detail),
        "operation_state": "succeeded",
        "relayed": True,
        "seconds_ago": 100.0,
    }


def audit_of(rows: list[Row]) -> list[RecordedAuditEvent]:
    """What the audit recorded when the rows were sent; it accepted every one."""
    events = [audit_event(row, *HERE) for row in rows]
    assert [validation_error(event) for event in events] == [None] * len(events)
    return [
        RecordedAuditEvent(**event.model_dump(), seq=seq, recorded_at=START)
        for seq, event in enumerate(events, start=1)
    ]


def gaps(rows: list[Row], audit: list[RecordedAuditEvent], walk: Walk) -> list[Discrepancy]:
    found = Reconciliation(frozenset({"orders"}))
    found.journal_matcher.begin("orders")
    page = JournalPage(
        service="orders", database="orders_db", entries=entries_of(rows, *HERE), positions=[position(walk.heads)]
    )
    found.journal_matcher.add_entry(JournalPage.model_validate_json(page.model_dump_json(exclude_none=True)))
    for event in audit:
        found.add_audit_event(event)
    return list(found.gaps())


def exchanged(row: Row, **facts: Any) -> Row:
    """The row with other facts in its detail; None takes one out."""
    return row | {"detail": json.dumps(without_none(json.loads(row["detail"]) | facts))}


@settings(max_examples=100)
@given(walk=walks())
def test_a_journal_and_its_audit_are_accounted_for(walk: Walk) -> None:
    rows = stored(walk)
    assert gaps(rows, audit_of(rows), walk) == []


@settings(max_examples=50)
@given(walk=walks())
def test_each_row_that_is_removed_is_missed(walk: Walk) -> None:
    rows = stored(walk)
    audit = audit_of(rows)
    for at in range(len(rows)):
        assert gaps(rows[:at] + rows[at + 1 :], audit, walk) != [], rows[at]


@settings(max_examples=200)
@given(walk=walks(), data=st.data())
def test_a_row_that_is_altered_is_named(walk: Walk, data: st.DataObject) -> None:
    """Its heads exchanged with those of another row or with each other, another revision, another kind."""
    rows = stored(walk)
    moves = [at for at, row in enumerate(rows) if row["kind"] != "attempt"]
    at = data.draw(st.sampled_from(moves))
    row, told = rows[at], json.loads(rows[at]["detail"])
    other = json.loads(rows[data.draw(st.sampled_from(moves))]["detail"])
    # A row of an earlier release has no heads before it, and nobody who reads it expects them.
    names = ["heads", "before", "heads_before"] if walk.tells_heads else ["heads", "before"]
    altered = [
        *(exchanged(row, **{name: other[name]}) for name in names),
        *(exchanged(row, **{name: ["forged"]}) for name in names),
        exchanged(row, heads=told["before"], before=told["heads"]),
        *(row | {"kind": kind} for kind in ("applied", "reverted", "stamped", "failed")),
        row | {"revision": "forged"},
    ]
    different = [each for each in altered if audit_event(each, *HERE) != audit_event(row, *HERE)]
    forged = data.draw(st.sampled_from(different))
    assert gaps([*rows[:at], forged, *rows[at + 1 :]], audit_of(rows), walk) != []


@settings(max_examples=100)
@given(walk=walks(tells_heads=True))
def test_the_heads_before_a_row_may_be_left_out_only_where_they_are_what_it_builds_on(walk: Walk) -> None:
    rows = stored(walk)
    audit = audit_of(rows)
    for at, row in enumerate(rows):
        told = json.loads(row["detail"])
        if "heads_before" in told:
            left_out = [*rows[:at], exchanged(row, heads_before=None), *rows[at + 1 :]]
            assert (gaps(left_out, audit, walk) == []) == (told["heads_before"] == told["before"])


@settings(max_examples=100)
@given(walk=walks(), data=st.data())
def test_a_row_that_is_added_is_named(walk: Walk, data: st.DataObject) -> None:
    """A copy of another row under a number and an id of its own, or one that would fit where it stands."""
    rows = stored(walk)
    at = data.draw(st.integers(0, len(rows) - 1))
    fits = json.loads(rows[at]["detail"]).get("heads", [])
    forged = {"before": fits, "heads": ["forged"], "heads_before": fits}
    extra = data.draw(st.sampled_from([*rows, _row(0, "applied", rows[at]["attempt"], "forged", forged)])) | {
        "seq": len(rows) + 1,
        "event_id": UUID(int=len(rows) + 1),
    }
    numbered = [row | {"seq": seq} for seq, row in enumerate([*rows[: at + 1], extra, *rows[at + 1 :]], start=1)]
    assert gaps(numbered, audit_of(rows), walk) != []
