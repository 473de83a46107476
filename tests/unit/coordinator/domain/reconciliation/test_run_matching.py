"""Run records against the events that the coordinator really writes, with everything around it in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from coordinator.domain.permissions import OperatorKind, Proof, Requester
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.domain.reconciliation.run_matching import EVENT_TYPES, expected_of
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from migration_sidecar.contract.messages import RecordedAuditEvent
from tests.unit.coordinator.domain.test_run import FAILURE, carried_out
from tests.unit.coordinator.fakes import World

FLEET = frozenset({"audit", "first", "second", "plain"})
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTLY = Requester(Proof.SIGNED_CALL, "nightly", "nightly/1", kind=OperatorKind.AGENT)


def recorded(world: World) -> list[RecordedAuditEvent]:
    events = [event for event in world.audit.events.values() if event.event_type in EVENT_TYPES]
    return [RecordedAuditEvent(**event.model_dump(), seq=seq, recorded_at=NOW) for seq, event in enumerate(events, 1)]


def reconciled(run: Run | None, events: list[RecordedAuditEvent], *, owed: bool = False) -> Reconciliation:
    found = Reconciliation(FLEET)
    if run is not None:
        found.run_matcher.add_run(run, owed=owed)
    for event in events:
        found.add_audit_event(event)
    return found


def gaps(run: Run | None, events: list[RecordedAuditEvent]) -> list[Discrepancy]:
    return list(reconciled(run, events).gaps())


async def some_run(world: World, how: str) -> Run:
    first, second = world.fleet.services["first"], world.fleet.services["second"]
    if how == "failed":
        first.fails_with = FAILURE
    if how == "stopped before it began":
        first.obstacles = [FAILURE]
    if "unchanged" in how:
        first.current = second.current = ["r2"]
    await carried_out(world, requester=NIGHTLY, dry_run="dry" in how)
    life = world.life()
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    return run


HOW = pytest.mark.parametrize(
    "how", ["succeeded", "failed", "stopped before it began", "unchanged", "dry", "dry and unchanged"]
)


@HOW
async def test_record_and_audit_agree_however_the_run_went(world: World, how: str) -> None:
    run = await some_run(world, how)
    events = recorded(world)
    assert gaps(run, events) == []
    assert {event.event_id for event in events} <= expected_of(run).keys()
    assert len(events) >= 2


@HOW
async def test_each_event_that_is_removed_is_the_one_gap(world: World, how: str) -> None:
    run = await some_run(world, how)
    events = recorded(world)
    for removed in events:
        (gap,) = gaps(run, [event for event in events if event is not removed])
        assert (gap.kind, gap.event_id) == (Kind.RUN_NOT_IN_AUDIT, str(removed.event_id))


@pytest.mark.parametrize(
    ("event_type", "change"),
    [
        ("migration.requested", {"actor": "mallory"}),
        ("migration.step_finished", {"actor": "mallory"}),
        ("migration.finished", {"actor": None}),
        ("migration.step_started", {"database": "another"}),
        ("migration.step_finished", {"outcome": "failed"}),
        ("migration.step_finished", {"to_revision": "r9"}),
        ("migration.step_finished", {"service": "plain"}),
        ("migration.finished", {"outcome": "failed"}),
        ("migration.finished", {"request_id": "another"}),
        ("migration.finished", {"event_type": "migration.started"}),
    ],
)
async def test_a_changed_fact_is_named(world: World, event_type: str, change: dict[str, Any]) -> None:
    run = await some_run(world, "succeeded")
    events = recorded(world)
    changed = next(event for event in events if event.event_type == event_type)
    events[events.index(changed)] = changed.model_copy(update=change)
    (gap,) = gaps(run, events)
    assert (gap.kind, gap.event_id, gap.seq) == (Kind.OTHER_CONTENT, str(changed.event_id), changed.seq)


@pytest.mark.parametrize(
    ("event_type", "detail"),
    [
        ("migration.requested", {"request_digest": "0" * 64}),
        ("migration.requested", {"reason": "approved by the board"}),
        ("migration.requested", {"services": ["first"]}),
        ("migration.requested", {"services": None}),
        ("migration.requested", {"action": "downgrade"}),
        ("migration.requested", {"deadline": "2026-01-01T00:00:00Z"}),
        ("migration.requested", {"actor_basis": "dapr caller release-tool"}),
        ("migration.requested", {"actor_kind": "person"}),
        ("migration.requested", {"actor_kind": None}),
        ("migration.requested", {"requested_by": "mallory"}),
        ("migration.started", {"plan_digest": "0" * 64}),
        ("migration.step_started", {"operation_id": "another"}),
        ("migration.step_finished", {"actor_basis": "dapr caller release-tool"}),
        ("migration.step_finished", {"actor_kind": "person"}),
        ("migration.step_finished", {"actor_kind": None}),
        ("migration.step_finished", {"applied": ["r1"]}),
        ("migration.step_finished", {"applied": []}),
        ("migration.step_finished", {"attempts": 2}),
        ("migration.finished", {"plan_digest": "0" * 64}),
    ],
)
async def test_a_changed_detail_is_named(world: World, event_type: str, detail: dict[str, Any]) -> None:
    run = await some_run(world, "succeeded")
    events = recorded(world)
    changed = next(event for event in events if event.event_type == event_type)
    told = {name: value for name, value in {**changed.detail, **detail}.items() if value is not None}
    events[events.index(changed)] = changed.model_copy(update={"detail": told})
    (gap,) = gaps(run, events)
    assert (gap.kind, gap.event_id) == (Kind.OTHER_CONTENT, str(changed.event_id))
    assert f"detail.{next(iter(detail))}" in gap.sentence


@pytest.mark.parametrize("harm", [{}, {"reason": "approved by the board"}, {"requested_by": "mallory"}])
async def test_what_the_first_release_wrote_is_compared_as_far_as_it_goes(world: World, harm: dict[str, str]) -> None:
    """It had the whole request under one name, and did not say how the actor is known."""
    run = (await some_run(world, "succeeded")).model_copy(update={"actor_kind": None})
    events = [event.model_copy(update={"detail": _without_basis(event)}) for event in recorded(world)]
    asked = {"request": {**run.request.model_dump(mode="json"), **harm}, "request_digest": run.request_digest}
    events[0] = events[0].model_copy(update={"detail": asked})
    found = reconciled(run, events)
    assert [gap.kind for gap in found.gaps()] == [Kind.OTHER_CONTENT] * bool(harm)
    assert found.run_matcher.without_actor_basis == len(events)


async def test_a_long_reason_is_compared_as_the_event_cuts_it(world: World) -> None:
    await carried_out(world, reason="ü" * 2000)
    life = world.life()
    await life.drive()
    run = await life.runs.read("r-1")
    events = recorded(world)
    assert "cut" in events[0].detail
    assert gaps(run, events) == []


def _without_basis(event: RecordedAuditEvent) -> dict[str, Any]:
    later = ("actor_basis", "actor_kind", "requested_by")
    return {name: value for name, value in event.detail.items() if name not in later}


async def test_what_the_record_knows_nothing_of_is_named(world: World) -> None:
    run = await some_run(world, "succeeded")
    events = recorded(world)
    forged = events[-1].model_copy(update={"event_id": uuid4(), "seq": 99})
    (gap,) = gaps(run, [*events, forged])
    assert (gap.kind, gap.seq, gap.request_id) == (Kind.NOT_OF_THE_RUN, 99, "r-1")


async def test_a_run_without_a_record_is_named_for_every_event_of_it(world: World) -> None:
    await some_run(world, "succeeded")
    events = recorded(world)
    found = gaps(None, events)
    assert {gap.kind for gap in found} == {Kind.NO_RUN_RECORD}
    assert [gap.event_id for gap in found] == [str(event.event_id) for event in events]


async def test_what_the_coordinator_still_owes_is_on_its_way_and_no_gap(world: World) -> None:
    run = await some_run(world, "succeeded")
    found = reconciled(run, recorded(world)[:-1], owed=True)
    assert (list(found.gaps()), found.on_their_way) == ([], 1)
    assert found.run_matcher.still_in_outbox() == {"r-1"}


async def test_a_record_that_was_behind_is_read_again_and_then_explains_everything(world: World) -> None:
    run = await some_run(world, "succeeded")
    first_look = run.model_copy(update={"state": RunState.RUNNING, "steps": [], "started_at": None})
    found = reconciled(first_look, recorded(world))
    assert found.run_matcher.to_look_for() == {"r-1"}
    assert found.run_matcher.to_look_for() == set()
    found.run_matcher.add_run(run, owed=False)
    assert list(found.gaps()) == []


async def test_refusals_leave_no_run_and_need_no_record(world: World) -> None:
    await some_run(world, "succeeded")
    events = [event.model_copy(update={"event_type": "migration.rejected"}) for event in recorded(world)]
    assert gaps(None, events) == []


@pytest.mark.parametrize("forged", [None, "", "../audit/events", "r-1/pause", "r-1?x=1", "r" * 65])
async def test_what_cannot_be_the_id_of_a_run_is_not_asked_for_and_is_named(world: World, forged: str | None) -> None:
    run = await some_run(world, "succeeded")
    events = recorded(world)
    events.append(events[-1].model_copy(update={"event_id": uuid4(), "seq": 99, "request_id": forged}))
    found = reconciled(run, events)
    assert found.run_matcher.to_look_for() == set()
    assert [(gap.kind, gap.seq) for gap in found.gaps()] == [(Kind.NO_RUN_RECORD, 99)]
