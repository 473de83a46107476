"""One run that failed half way, as its record and its audit events tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coordinator.client.audit_verification import LiveVerdict
from coordinator.report.inputs import Anchor, Evidence, Proof, ReportedEvent, ReportedRun, RunFacts

DIGEST = "d" * 64
FILE = "f" * 64
ANCHOR = Anchor(120, "a" * 64, "2026-11-22T15:10:00.000000Z", "0123456789abcdef", "c2ln" * 22, "audit-anchor-1|…")
ERROR = {
    "code": "CM-401",
    "title": "A revision failed",
    "detail": "Revision 0f1 failed with DuplicateColumn.",
    "next_step": "Correct the file and ask again.",
}
REQUEST: dict[str, Any] = {
    "services": "all", "target": "head", "on_failure": "stop", "approval": "none",
    "requested_by": "release-bot", "reason": "release 41",
}  # fmt: skip


def event(seq: int, event_type: str, service: str = "", **facts: Any) -> ReportedEvent:
    plain = {
        "seq": seq,
        "event_id": f"00000000-0000-5000-8000-{seq:012d}",
        "event_type": event_type,
        "occurred_at": f"2026-11-22T15:00:{seq % 60:02d}.123456Z",
        "recorded_at": f"2026-11-22T15:00:{seq % 60:02d}.200000Z",
        "source": f"{service}/journal" if service else "migration-coordinator",
        "request_id": "release-41",
        "service": service or None,
        "database": service.replace("-", "_") or None,
    }
    return ReportedEvent.model_validate(plain | facts)


def step(service: str, state: str, **facts: Any) -> dict[str, Any]:
    at = {"from_revisions": ["0a1"], "to_revisions": ["0a1"]}
    return {"service": service, "database": service.replace("-", "_"), "state": state, **at, **facts}


def run(*steps: dict[str, Any], **facts: Any) -> ReportedRun:
    plain = {
        "request_id": "release-41", "state": "failed", "request": REQUEST, "request_digest": DIGEST,
        "plan_digest": DIGEST, "accepted_at": "2026-11-22T15:00:00.1Z", "started_at": "2026-11-22T15:00:01Z",
        "finished_at": "2026-11-22T15:00:12.7Z", "audit": "recorded", "error": ERROR, "steps": list(steps),
    }  # fmt: skip
    return ReportedRun.model_validate(plain | facts)


MIGRATED = step(
    "cds-client", "succeeded", to_revisions=["0c3"], planned=["0b2", "0c3"], attempts=1, duration_ms=3200,
    started_at="2026-11-22T15:00:02Z", finished_at="2026-11-22T15:00:05.2Z",
    applied=[{"revision": "0b2", "sha256": FILE}, {"revision": "0c3", "sha256": FILE}],
)  # fmt: skip
FAILED = step(
    "cds-task", "failed", planned=["0f1"], attempts=3, duration_ms=7300, error=ERROR,
    started_at="2026-11-22T15:00:05.3Z", finished_at="2026-11-22T15:00:12.6Z",
)  # fmt: skip
SKIPPED = step("cds-store", "skipped", planned=["0d2"])
THERE = step("cas-audit", "unchanged")


def applied(seq: int, revision: str, sha256: str = FILE) -> ReportedEvent:
    detail = {"revision": revision, "sha256": sha256, "message": f"Make {revision}", "way_in": "operation"}
    facts = {"actor": "release-bot", "outcome": "applied", "duration_ms": 412, "detail": detail}
    return event(seq, "revision.applied", "cds-client", **facts)


EVENTS = [
    event(101, "migration.requested", actor="release-bot", detail={"actor_basis": "claimed", **REQUEST}),
    event(102, "migration.started", actor="release-bot", detail={"plan_digest": DIGEST}),
    event(103, "migration.step_finished", "cas-audit", outcome="unchanged", from_revision="0a1", to_revision="0a1"),
    event(104, "migration.step_started", "cds-client", from_revision="0a1", to_revision="0c3"),
    applied(105, "0b2"),
    applied(106, "0c3"),
    event(107, "migration.step_finished", "cds-client", outcome="succeeded", from_revision="0a1", to_revision="0c3"),
    event(108, "migration.step_started", "cds-task", from_revision="0a1", to_revision="0f1"),
    event(109, "attempt.failed", "cds-task", outcome="CM-401", detail={"error": "DuplicateColumn", "revision": "0f1"}),
    event(110, "migration.step_finished", "cds-task", outcome="failed", to_revision="0a1", detail={"error": ERROR}),
    event(111, "migration.step_finished", "cds-store", outcome="skipped", from_revision="0a1", to_revision="0a1"),
    event(112, "migration.finished", outcome="failed", detail={"error": ERROR}),
]
CHAIN = LiveVerdict(ok=True, events=120, first_seq=1, last_seq=120, anchored_seq=120)
PROVEN = Evidence(
    {one.event_id: Proof("b" * 64, ANCHOR) for one in EVENTS},
    CHAIN,
    "audit-keys.json",
)


def facts(
    *,
    evidence: Evidence = PROVEN,
    events: list[ReportedEvent] = EVENTS,
    disagreements: Sequence[str] | None = (),
    **changes: Any,
) -> RunFacts:
    told = run(THERE, MIGRATED, FAILED, SKIPPED, **changes)
    return RunFacts(told, events, evidence, disagreements=None if disagreements is None else list(disagreements))
