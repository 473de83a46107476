"""What of a journal row goes into the audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import make_url

from migration_sidecar.relay import audit_event
from migration_sidecar.settings import Settings

SETTINGS = Settings("orders", Path("alembic.ini"), make_url("postgresql://localhost/orders_db"))


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
    event = audit_event(row("failed", problem=problem), SETTINGS)

    assert (event.event_type, event.outcome) == ("attempt.failed", "CM-401")
    assert event.detail == {
        "operation_id": "op-1",
        "attempt": 2,
        "revision": "a2",
        "sqlstate": "42703",
        "error": "It stopped.",
    }


def test_only_known_fields_are_passed_on() -> None:
    event = audit_event(
        row("applied", "a1", sha256="ab", heads=["a1"], before=[], client_name="Ada Lovelace"), SETTINGS
    )

    assert "Lovelace" not in event.model_dump_json()
    assert (event.from_revision, event.to_revision, event.actor) == (None, "a1", "ada")
