"""Makes an audit event from a journal row. It has only facts that cannot contain data of users."""

from __future__ import annotations

import json
from typing import Any

from migration_sidecar.contract.audit_detail import error_without_literals, revision_list, truncate_detail
from migration_sidecar.contract.messages import MAX_REVISIONS, AuditEvent
from migration_sidecar.contract.strict_json import is_deep
from migration_sidecar.protocol.first_upgrade.rule import OTHER_TABLES
from migration_sidecar.protocol.origin import Origin

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
# `applied` has all facts of `started`. If a `started` has no `applied`, attempt.failed reports it (CM-402).
NOT_RELAYED = ("started",)

# How the actor is known. Who calls the endpoint is proven, and that is the coordinator: whom it names is its word.
ACTOR_BASIS = {Origin.BY_HAND: "operating system", Origin.START_UP: "service itself"}
CLAIMED = "claimed"

_REVISION_DETAILS = ("message", "sha256", "tables", "tables_count", "dropped")
_ADOPTION_DETAILS = ("built_in", "catalog_sha256", "objects")


def audit_event(row: Any, service: str, database: str) -> AuditEvent:
    """Makes the audit event of one journal row. The same row always gives the same event, in every service.

    Services that share a journal send each other's rows, so the row itself names its service. Raises any exception for
    a row that we did not write: another program that can write to the table can write anything.
    """
    detail = detail_of(row)
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
        from_revision=revision_list(revisions_in(detail, "before") or []),
        to_revision=revision_list(revisions_in(detail, "heads") or []),
        outcome=problem.get("code") or kind,
        duration_ms=_checked_duration(detail.get("duration_ms")),
        detail=truncate_detail(
            EVENT_TYPES[kind],
            {
                "operation_id": row["operation_id"],
                "attempt": row["attempt"],
                "revision": row["revision"] or problem.get("revision"),
                "way_in": detail.get("way_in"),
                "cancelled_by": detail.get("cancelled_by"),
                "actor_basis": ACTOR_BASIS.get(detail.get("way_in", ""), CLAIMED) if detail.get("actor") else None,
                "heads_before": _heads_before(detail),
                **{name: detail.get(name) for name in _REVISION_DETAILS},
                **{name: detail.get("adopted", {}).get(name) for name in _ADOPTION_DETAILS},
                "error": error_without_literals(problem["detail"]) if "detail" in problem else None,
                "sqlstate": problem.get("sqlstate"),
                "beside_other_tables": True if detail.get("beside") == OTHER_TABLES else None,
            },
        ),
    )


def detail_of(row: Any) -> dict[str, Any]:
    """The detail of a journal row. Raises ValueError if it is not an object or is nested too deep for the receiver."""
    detail = json.loads(row["detail"])
    if not isinstance(detail, dict):
        raise ValueError("the detail of the row is no object")
    if is_deep(detail):
        raise ValueError("the detail of the row is nested too deep")
    return detail


def revisions_in(detail: dict[str, Any], name: str) -> list[str] | None:
    """The list of revisions under `name`, or None. Raises ValueError if the value is not a list of revisions."""
    revisions = detail.get(name)
    if revisions is None:
        return None
    if not isinstance(revisions, list) or not all(isinstance(each, str) for each in revisions):
        raise ValueError(f"{name} is no list of revisions")
    if len(revisions) > MAX_REVISIONS:
        raise ValueError(f"{name} has more than {MAX_REVISIONS} revisions")
    return revisions


def _heads_before(detail: dict[str, Any]) -> list[str] | None:
    """The heads that were there, unless `from_revision` has them: then an older audit takes the event as well."""
    heads = revisions_in(detail, "heads_before")
    return None if heads == revisions_in(detail, "before") else heads


def _checked_duration(milliseconds: Any) -> Any:
    """Raises ValueError for a number above 64 bits. AuditEvent itself refuses values of other types."""
    if isinstance(milliseconds, int) and abs(milliseconds) >= 2**63:
        raise ValueError("duration_ms is out of range")
    return milliseconds
