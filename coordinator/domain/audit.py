"""Events for the audit; an id is derived from what is reported, so that a repeat of any effect is recognised."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from coordinator.domain.step import Step
from migration_sidecar.messages import AuditEvent, Problem

SOURCE = "migration-coordinator"
IDS = uuid.UUID("c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57")
EVENT_DETAIL_LIMIT = 2000


def event_id(*facts: str | int) -> uuid.UUID:
    return uuid.uuid5(IDS, json.dumps(facts))


def about_run(
    event_type: str, request_id: str, actor: str, now: datetime, *, outcome: str | None = None, **detail: Any
) -> AuditEvent:
    return AuditEvent(
        event_id=event_id(request_id, event_type),
        event_type=event_type,
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        actor=actor,
        outcome=outcome,
        detail=detail,
    )


def about_step(event_type: str, request_id: str, actor: str, now: datetime, step: Step) -> AuditEvent:
    ended = step.state.ended
    return AuditEvent(
        event_id=event_id(request_id, event_type, step.service, step.operation_id or ""),
        event_type=event_type,
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        service=step.service,
        database=step.database,
        actor=actor,
        from_revision=_joined(step.from_revisions),
        to_revision=_joined(step.to_revisions),
        outcome=step.state.value if ended else None,
        duration_ms=step.duration_ms,
        detail=_step_detail(step),
    )


def about_rejection(key: tuple[str, ...], now: datetime, problem: Problem, *, request_id: str | None) -> AuditEvent:
    """`key` names the message that was refused: delivered again, it gives the same event id."""
    return AuditEvent(
        event_id=event_id("migration.rejected", *key),
        event_type="migration.rejected",
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        service=problem.service,
        outcome="rejected",
        detail=_problem(problem),
    )


def about_conflict(request_id: str, digest: str, now: datetime, problem: Problem, actor: str) -> AuditEvent:
    """One per different body, however often that body is sent."""
    return AuditEvent(
        event_id=event_id(request_id, "migration.conflict", digest),
        event_type="migration.conflict",
        occurred_at=now,
        source=SOURCE,
        request_id=request_id,
        actor=actor,
        outcome="rejected",
        detail={**_problem(problem), "request_digest": digest},
    )


def _step_detail(step: Step) -> dict[str, Any]:
    detail: dict[str, Any] = {"plan_digest": step.plan_digest, "planned": step.planned}
    if step.operation_id:
        detail["operation_id"] = step.operation_id
    if step.state.ended:
        detail |= {"attempts": step.attempts, "applied": [one.revision for one in step.applied]}
    if step.error:
        detail["error"] = _problem(step.error)
    return detail


def _problem(problem: Problem) -> dict[str, Any]:
    found = problem.model_dump(mode="json", exclude_none=True)
    return {**found, "detail": problem.detail[:EVENT_DETAIL_LIMIT]}


def _joined(revisions: list[str]) -> str | None:
    return ",".join(revisions)[:500] or None
