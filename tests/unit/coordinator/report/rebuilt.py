"""A run put together from its audit events alone, written apart from the product's own code: invariant I12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coordinator.domain.run import Run
from coordinator.domain.step import Step
from migration_sidecar.contract.audit_detail import problem_facts
from migration_sidecar.contract.messages import AuditEvent, Problem

ASKED = (
    "services", "action", "target", "on_failure", "max_parallel", "approval", "dry_run", "not_before", "deadline",
    "requested_by", "reason",
)  # fmt: skip
OF_A_STEP = (
    "target",
    "after",
    "planned",
    "plan_digest",
    "operation_id",
    "attempts",
    "applied",
    "operation_ms",
    "error",
)


def facts_of(run: Run) -> dict[str, Any]:
    """What a record says, as far as it is a fact and not how far its delivery got."""
    return {
        "request": run.request.model_dump(mode="json", exclude={"request_id"}),
        "request_digest": run.request_digest,
        "actor": run.actor.name,
        "state": run.state.value,
        "plan_digest": run.plan_digest,
        "accepted_at": run.accepted_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "obstacles": [problem_facts(each) for each in run.obstacles],
        "error": _problem(run.error),
        "steps": {step.service: _step_facts(step) for step in run.steps},
    }


def rebuilt(events: Iterable[AuditEvent]) -> dict[str, Any]:
    by_type: dict[str, list[AuditEvent]] = {}
    for event in events:
        by_type.setdefault(event.event_type, []).append(event)
    (requested,), (finished,) = by_type["migration.requested"], by_type["migration.finished"]
    started = by_type.get("migration.started", [None])[0]
    steps: dict[str, dict[str, Any]] = {}
    for kind in ("migration.step_planned", "migration.step_started", "migration.step_finished"):
        for event in by_type.get(kind, []):
            steps[event.service or ""] = _step_of(event, steps.get(event.service or "", {}))
    return {
        "request": {name: requested.detail.get(name) for name in ASKED},
        "request_digest": requested.detail["request_digest"],
        "actor": requested.actor,
        "state": finished.outcome,
        "plan_digest": finished.detail.get("plan_digest"),
        "accepted_at": requested.occurred_at,
        "started_at": started.occurred_at if started else None,
        "finished_at": finished.occurred_at,
        "obstacles": finished.detail.get("obstacles", []),
        "error": finished.detail.get("error"),
        "steps": steps,
    }


def _step_of(event: AuditEvent, before: dict[str, Any]) -> dict[str, Any]:
    begun = event.occurred_at if event.event_type == "migration.step_started" else before.get("started_at")
    return {
        **{name: event.detail.get(name, [] if name in ("after", "applied") else None) for name in OF_A_STEP},
        "attempts": event.detail.get("attempts", 0),
        "database": event.database,
        "from_revisions": _ids(event.from_revision),
        "to_revisions": _ids(event.to_revision),
        "state": event.outcome or "pending",
        "duration_ms": event.duration_ms,
        "started_at": begun,
        "finished_at": event.occurred_at if event.outcome else None,
    }


def _step_facts(step: Step) -> dict[str, Any]:
    facts = step.model_dump(exclude={"service", "waiting_for", "remark", "applied", "error", "state"})
    applied = [one.revision for one in step.applied]
    return {**facts, "state": step.state.value, "applied": applied, "error": _problem(step.error)}


def _problem(problem: Problem | None) -> dict[str, Any] | None:
    return problem_facts(problem) if problem else None


def _ids(joined: str | None) -> list[str]:
    return joined.split(",") if joined else []
