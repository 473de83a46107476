"""What of a journal row goes into the audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from migration_sidecar.relay import audit_event

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
    }


def test_only_known_fields_are_passed_on() -> None:
    event = audit_event(row("applied", "a1", sha256="ab", heads=["a1"], before=[], client_name="Ada Lovelace"), *HERE)

    assert "Lovelace" not in event.model_dump_json()
    assert (event.from_revision, event.to_revision, event.actor) == (None, "a1", "ada")


def test_a_row_says_itself_whose_it_is_whoever_relays_it() -> None:
    event = audit_event(row("applied", "a1", service="billing"), *HERE)

    assert (event.service, event.source) == ("billing", "billing/journal")
