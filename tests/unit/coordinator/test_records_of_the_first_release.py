"""Coordinator, services and audit are updated while events wait: what the first release wrote must still be taken."""

from __future__ import annotations

from typing import Any

from coordinator.audit.event_spool import PENDING
from coordinator.domain.audit_events import BATCH, as_told_today
from coordinator.domain.outbox import Notice
from coordinator.domain.run import Run
from migration_sidecar.contract.audit_detail import EVENT_BYTES
from migration_sidecar.contract.messages import AuditEvent
from services.cas_service.audit import BODY_BYTES
from tests.unit.coordinator.fakes import World

DIGEST = "3a952a99bc5ea33f58631f2ebe4afc18cbfb76b3288361cbbf3b505efb3e4d1e"
REQUEST = {
    "request_id": "old-1",
    "services": ["first", "second"],
    "action": "upgrade",
    "target": "head",
    "on_failure": "stop",
    "max_parallel": 1,
    "approval": "none",
    "dry_run": False,
    "not_before": None,
    "deadline": None,
    "requested_by": "ada",
    "reason": "release",
}
REQUESTED = {
    "event_id": "fa7f4cb1-312a-5b3e-bb5a-6b70c777f303",
    "event_type": "migration.requested",
    "occurred_at": "2026-11-01T12:00:00Z",
    "source": "migration-coordinator",
    "request_id": "old-1",
    "actor": "ada",
    "detail": {
        "request": {name: value for name, value in REQUEST.items() if name != "request_id"},
        "request_digest": DIGEST,
    },
}
RUN = {
    "request_id": "old-1",
    "state": "accepted",
    "request": REQUEST,
    "request_digest": DIGEST,
    "accepted_at": "2026-11-01T12:00:00Z",
    "outbox": [{"event": REQUESTED, "announcement": "migrate.accepted", "recorded": False}],
}
CONFLICT: dict[str, Any] = {
    "event_id": "13f0f165-0047-54bc-a3d9-69739c15a03a",
    "event_type": "migration.conflict",
    "occurred_at": "2026-11-01T12:00:00Z",
    "source": "migration-coordinator",
    "request_id": "old-1",
    "actor": "ada",
    "outcome": "rejected",
    "detail": {
        "code": "CM-601",
        "title": "This request id was used for another request",
        "detail": "Request old-1 was accepted before with a different body.",
        "next_step": "Send the new request under a new request id; the first one stands.",
        "retryable": False,
        "request_id": "old-1",
        "request_digest": DIGEST,
    },
}


async def test_a_run_whose_first_event_still_waits_is_recorded_and_goes_on(world: World) -> None:
    life = world.life()
    await life.runs.enter("old-1", world.clock())
    await life.runs.create(Run.model_validate(RUN))
    await world.workflows.schedule("old-1")
    await life.drive()
    assert world.fleet.services["first"].applied == ["r1", "r2"]
    told = next(each for each in world.audit.events.values() if each.event_type == "migration.requested")
    facts = {name: told.detail.get(name) for name in ("actor_basis", "requested_by", "reason", "services")}
    assert facts == {
        "actor_basis": "claimed",
        "requested_by": "ada",
        "reason": "release",
        "services": ["first", "second"],
    }
    assert told.detail["request_digest"] == DIGEST


async def test_a_refusal_that_waits_since_the_first_release_holds_up_nobody(world: World) -> None:
    await world.documents.create(PENDING, {"events": [CONFLICT], "dropped": 0})
    assert await world.life().rejections.flush() == 1
    assert [event.detail["code"] for event in world.audit.events.values()] == ["CM-601"]


async def test_what_is_told_in_todays_facts_is_passed_on_as_it_is() -> None:
    event = AuditEvent.model_validate({**CONFLICT, "detail": {"code": "CM-601", "requested_by": "ada"}})
    assert as_told_today(event) is event


async def test_a_run_that_owes_more_than_the_audit_reads_at_once_delivers_it_all_the_same(world: World) -> None:
    assert BATCH * EVENT_BYTES < BODY_BYTES
    life, sizes = world.life(), []
    notices = [
        Notice(event=AuditEvent.model_validate({**REQUESTED, "event_id": f"00000000-0000-4000-8000-{number:012}"}))
        for number in range(BATCH + 1)
    ]
    append = world.audit.append

    async def weighed(events: Any) -> Any:
        sizes.append(len(events))
        return await append(events)

    world.audit.append = weighed  # type: ignore[method-assign]
    await life.tools.relay.record(Run.model_validate({**RUN, "outbox": []}).owing(*notices))
    assert sizes == [BATCH, 1]
