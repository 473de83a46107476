"""Makes a run from its audit events alone, if there is no run record: it was deleted, or never written."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from coordinator.report.inputs import ReportedEvent, ReportedRun, ReportedStep


def rebuilt(request_id: str, events: list[ReportedEvent]) -> ReportedRun:
    """The run as far as its events describe it. An event that does not fit a run is skipped here."""
    run: dict[str, Any] = {"request_id": request_id, "state": "", "steps": []}
    steps: dict[str, dict[str, Any]] = {}
    made = ReportedRun.model_validate(run)
    for event in events:
        next_run, next_steps = dict(run), {service: dict(step) for service, step in steps.items()}
        _apply_event(next_run, next_steps, event)
        try:
            made = ReportedRun.model_validate(next_run | {"steps": list(next_steps.values())})
        except ValidationError:
            continue
        run, steps = next_run, next_steps
    return made


def _apply_event(run: dict[str, Any], steps: dict[str, dict[str, Any]], event: ReportedEvent) -> None:
    detail = event.detail
    match event.event_type:
        case "migration.requested":
            run |= {"state": "accepted", "accepted_at": event.occurred_at}
            run |= {"request": {"requested_by": event.actor, **detail}, "request_digest": detail.get("request_digest")}
        case "migration.rejected":
            run["state"] = run["state"] or "rejected"
            run["error"] = run.get("error") or _problem(detail)
        case "migration.started":
            run |= {"state": "running", "started_at": event.occurred_at, "plan_digest": detail.get("plan_digest")}
        case "migration.finished":
            run |= {"state": event.outcome, "finished_at": event.occurred_at}
            run["error"] = _problem(detail.get("error"))
        case "migration.step_started" | "migration.step_finished":
            steps.setdefault(event.service, {}).update(_step(event))
        case _:
            pass


def _step(event: ReportedEvent) -> dict[str, Any]:
    detail = event.detail
    facts: dict[str, Any] = {"service": event.service, "database": event.database}
    facts |= {"planned": detail.get("planned"), "plan_digest": detail.get("plan_digest")}
    facts |= {"from_revisions": _ids(event.from_revision), "to_revisions": _ids(event.to_revision)}
    if event.event_type == "migration.step_started":
        return facts | {"state": "running", "started_at": event.occurred_at}
    state = event.outcome if event.outcome in ReportedStep.ended_states else "needs_attention"
    facts |= {"state": state, "finished_at": event.occurred_at, "duration_ms": event.duration_ms}
    value = detail.get("applied")
    revisions = value if isinstance(value, list) else []
    applied = [each if isinstance(each, dict) else {"revision": each} for each in revisions]
    facts |= {"started_at": detail["started_at"]} if detail.get("started_at") else {}
    return facts | {"attempts": detail.get("attempts"), "applied": applied, "error": _problem(detail.get("error"))}


def _ids(joined: str) -> list[str]:
    return [one for one in joined.split(",") if one]


def _problem(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value.get("code") else None
