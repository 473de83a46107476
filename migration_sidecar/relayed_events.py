"""What the audit is told of a journal row: only facts that are known to hold no data of users."""

from __future__ import annotations

import json
from typing import Any

from migration_sidecar.audit_facts import bounded, error_text
from migration_sidecar.messages import AuditEvent

EVENT_TYPES = {
    "attempt": "attempt.started",
    "nontx_started": "revision.started",
    "applied": "revision.applied",
    "reverted": "revision.reverted",
    "stamped": "revision.stamped",
    "failed": "attempt.failed",
    "refused": "attempt.refused",
    "cancelled": "attempt.cancelled",
    "resolved": "attempt.resolved",
}
# A committed `started` says no more than the `applied` beside it; without one, attempt.failed tells (CM-402).
NOT_RELAYED = ("started",)

# How the actor is known: who called an endpoint nobody has checked here.
ACTOR_BASIS = {"by hand": "operating system", "start-up": "service itself"}
CLAIMED = "claimed"

_OF_A_REVISION = ("message", "sha256", "tables", "tables_count", "dropped")
_OF_AN_ADOPTION = ("built_in", "catalog_sha256", "objects")
LONGEST_REVISIONS = 500


def audit_event(row: Any, service: str, database: str) -> AuditEvent:
    """One journal row as the audit wants it; the same row gives the same event, whoever relays it.

    Services that share a journal relay each other's rows, so a row says itself whose it is.
    """
    detail = json.loads(row["detail"])
    service = detail.get("service", service)
    problem = detail.get("problem", {})
    kind = row["kind"]
    return AuditEvent(
        event_id=row["event_id"],
        event_type=EVENT_TYPES[kind],
        occurred_at=row["at"],
        source=f"{service}/journal",
        request_id=detail.get("request_id"),
        service=service,
        database=database,
        actor=detail.get("actor"),
        from_revision=_joined(detail.get("before")),
        to_revision=_joined(detail.get("heads")),
        outcome=problem.get("code") or kind,
        duration_ms=detail.get("duration_ms"),
        detail=bounded(
            EVENT_TYPES[kind],
            {
                "operation_id": row["operation_id"],
                "attempt": row["attempt"],
                "revision": row["revision"] or problem.get("revision"),
                "way_in": detail.get("way_in"),
                "actor_basis": ACTOR_BASIS.get(detail.get("way_in", ""), CLAIMED) if detail.get("actor") else None,
                **{name: detail.get(name) for name in _OF_A_REVISION},
                **{name: detail.get("adopted", {}).get(name) for name in _OF_AN_ADOPTION},
                "error": error_text(problem["detail"]) if "detail" in problem else None,
                "sqlstate": problem.get("sqlstate"),
            },
        ),
    )


def _joined(revisions: list[str] | None) -> str | None:
    return ",".join(revisions or [])[:LONGEST_REVISIONS] or None
