"""What the `detail` of an audit event may hold: named facts of bounded size, checked by the writer and at the door.

The coordinator imports it beside the wire contract: both ends must mean the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from migration_sidecar.contract.messages import AuditEvent, Problem
from migration_sidecar.contract.strict_json import mask_url_passwords

EVENT_BYTES = 16 * 1024
ERROR_CHARACTERS = 500
REVISION_LIST_CHARACTERS = 500  # of `from_revision` and `to_revision`
SERVER_MESSAGE = "server_message"  # the field of a problem that never enters an event

# Bytes of JSON as UTF-8. What may be longer in life is cut by its writer, and its name stands in `cut`.
LIMITS = {
    "about_seq": 20, "action": 20, "actor_basis": 800, "actor_kind": 12, "after": 1500, "applied": 2500, "approval": 20,
    "attempt": 10, "attempts": 10, "because": 200, "beside_other_tables": 5, "cancelled_by": 70,
    "body_sha256": 66, "built_in": 100, "catalog_sha256": 66, "code": 10, "codes": 1000, "count": 12,
    "current_revisions": 1000, "cut": 200, "dead_letter": 38, "deadline": 200, "detail": 2100, "door": 40,
    "dropped": 2000, "dry_run": 5,
    "error": 3000, "first": 3500, "gap": 30, "head_revisions": 1000, "heads_before": 1000, "max_failures": 10,
    "max_parallel": 4, "message": 500, "next_step": 600, "not_before": 200,
    "objects": 10, "obstacles": 6000, "on_failure": 20, "operation_id": 170, "operation_ms": 20, "pause_between": 12,
    "plan_digest": 66,
    "planned": 2500, "reason": 3000, "request_digest": 66, "requested_by": 820, "retryable": 5, "revision": 260,
    "service": 140, "services": 3500, "sha256": 66, "since": 40, "sqlstate": 7, "started_at": 40, "state": 40,
    "tables": 4000, "tables_count": 10, "target": 2500, "title": 200, "undo": 2000, "verb": 20, "void_because": 3000,
    "way_in": 20,
}  # fmt: skip

_REQUEST = {
    "action", "approval", "deadline", "dry_run", "first", "max_failures", "max_parallel", "not_before", "on_failure",
    "pause_between", "reason",
}  # fmt: skip
_PROBLEM = {"code", "detail", "next_step", "retryable", "revision", "service", "sqlstate", "title"}
_STEP = {"after", "operation_id", "plan_digest", "planned", "target"}
_COMMAND = {"plan_digest", "reason", "verb"}
_STEP_END = _STEP | {"applied", "attempts", "error", "operation_ms", "started_at"}
_ATTEMPT = {"attempt", "operation_id", "way_in"}
_ATTEMPT_END = _ATTEMPT | {"error", "revision", "sqlstate"}
_REVISION = _ATTEMPT | {"heads_before", "message", "revision", "sha256", "tables", "tables_count"}

_ALWAYS = {"actor_basis", "actor_kind", "cut", "requested_by"}
FACTS = {
    "migration.requested": _REQUEST | {"request_digest", "services", "target"},
    "migration.rejected": _PROBLEM | {"body_sha256", "door", "verb"},
    "migration.rejections_counted": {"codes", "count", "since"},
    "migration.conflict": _PROBLEM | {"request_digest"},
    "migration.resubmitted": {"code", "dead_letter"},
    "migration.started": {"plan_digest"},
    "migration.step_planned": _STEP,
    "migration.step_started": _STEP,
    "migration.step_finished": _STEP_END,
    "migration.step_compensated": {"applied", "operation_id", "undo"},
    "migration.approval_awaited": {"because", "plan_digest"},
    "migration.approval_void": {"because", "plan_digest", "void_because"},
    "migration.approved": _COMMAND,
    "migration.plan_rejected": _COMMAND,
    "migration.pause_requested": _COMMAND,
    "migration.paused": set(),
    "migration.resumed": _COMMAND,
    "migration.cancel_requested": _COMMAND,
    "migration.retried": _COMMAND,
    "migration.compensation_started": set(),
    "migration.finished": {"error", "obstacles", "plan_digest"},
    "drift.found": {"code", "current_revisions", "head_revisions", "state"},
    "gap.acknowledged": {"about_seq", "gap", "reason"},
    "attempt.started": _ATTEMPT | {"beside_other_tables"},
    "attempt.failed": _ATTEMPT_END,
    "attempt.refused": _ATTEMPT_END,
    "attempt.cancelled": _ATTEMPT_END | {"cancelled_by"},
    "attempt.resolved": _ATTEMPT_END | {"dropped"},
    "revision.started": _REVISION,
    "revision.applied": _REVISION,
    "revision.reverted": _REVISION,
    "revision.stamped": _REVISION | {"built_in", "catalog_sha256", "objects"},
}

# Operations, journal rows and run records that were stored before problems had `server_message` have those words in
# the detail, and only there: this is how that sentence was built. What is written today does not rely on it.
_QUOTED = re.compile(r"( with [A-Za-z_][\w.]*): .*?(; the database is at the revision before it\.?\Z|\.?\Z)", re.DOTALL)


def validation_error(event: AuditEvent) -> str | None:
    """What is wrong with the event, as one sentence; None where nothing is."""
    allowed = FACTS.get(event.event_type)
    if allowed is None:
        return f"There are no audit events of the type {event.event_type}."
    if unknown := sorted(event.detail.keys() - allowed - _ALWAYS):
        return f"The detail of {event.event_type} has no fact {unknown[0][:60]!a}."
    for name, value in event.detail.items():
        if encoded_size(value) > LIMITS[name]:
            return f"The fact {name} of {event.event_type} is larger than {LIMITS[name]} bytes."
    if len(event.model_dump_json().encode(errors="replace")) > EVENT_BYTES:
        return f"An event of {event.event_type} is larger than {EVENT_BYTES // 1024} KiB."
    return None


def truncate_detail(event_type: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the facts that such an event may hold; what is too large is cut, and named in `cut`."""
    allowed = FACTS[event_type] | _ALWAYS
    known = {name: _without_secrets(value) for name, value in facts.items() if name in allowed and value is not None}
    truncated = {name: _truncate(value, LIMITS[name]) for name, value in known.items()}
    cut = sorted(name for name, value in truncated.items() if value != known[name])
    return {**truncated, "cut": cut} if cut else truncated


def problem_facts(problem: Problem) -> dict[str, Any]:
    """A problem as the audit keeps it for ever: without `server_message`, which may quote rows of users."""
    facts = problem.model_dump(mode="json", exclude_none=True, exclude={"request_id", SERVER_MESSAGE})
    return {**facts, "detail": error_without_literals(problem.detail)}


def error_without_literals(sentence: str) -> str:
    """A problem's detail for the audit; of one that was stored by an older version, without the server's words."""
    return _QUOTED.sub(r"\1\2", sentence)[:ERROR_CHARACTERS]


def revision_list(revisions: Sequence[str]) -> str | None:
    """Revision ids as `from_revision` and `to_revision` of an audit event hold them; None where there is none."""
    return ",".join(revisions)[:REVISION_LIST_CHARACTERS] or None


def encoded_size(value: Any) -> int:
    """The size of the value as JSON, in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace"))


def _without_secrets(value: Any) -> Any:
    """Without passwords, and without a server's words however deep they stand."""
    if isinstance(value, str):
        return mask_url_passwords(value)
    if isinstance(value, dict):
        without_message = {str(name): each for name, each in value.items() if name != SERVER_MESSAGE}
        return {mask_url_passwords(name): _without_secrets(each) for name, each in without_message.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


def _truncate(value: Any, limit: int) -> Any:
    while encoded_size(value) > limit:
        if isinstance(value, dict):
            value = dict(list(value.items())[: len(value) * 3 // 4])
        else:
            value = value[: len(value) * 3 // 4]
    return value
