"""How a run ends, seen in its record, the audit and the topic."""

from collections.abc import Mapping
from typing import Any

import pytest

from coordinator.domain.changes import ending
from coordinator.domain.outcome import Outcome
from coordinator.domain.permissions import UNCHECKED, Requester
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import StepState
from migration_sidecar.contract.messages import Problem
from tests.unit.coordinator.fakes import Life, World

STEP_FINISHED = "migration.step_finished"
FAILURE = Problem(code="CM-401", title="t", detail="r2 failed", next_step="n", revision="r2", sqlstate="23505")


async def carried_out(world: World, most_timers: int = 100, *, requester: Requester = UNCHECKED, **body: object) -> Run:
    life = world.life()
    asked = read_request({"services": "all", **body}, default_request_id="r-1")
    await life.acceptance.accept(asked, requester)
    await life.drive(most_timers)
    return await stored(life)


async def stored(life: Life) -> Run:
    run = await life.runs.read("r-1")
    assert run is not None
    return run


def states(run: Run) -> list[str]:
    return [step.state.value for step in run.steps]


async def test_every_service_ends_at_its_target(world: World) -> None:
    run = await carried_out(world)
    assert run.state is RunState.SUCCEEDED
    assert states(run) == ["succeeded"] * 3
    assert [step.to_revisions for step in run.steps] == [["r2"]] * 3
    assert [[one.revision for one in step.applied] for step in run.steps] == [["r1", "r2"]] * 3
    assert [step.operation_id for step in run.steps] == ["r-1.audit.1", "r-1.first.1", "r-1.second.1"]
    assert all(step.operation_ms == 1000 for step in run.steps)


async def test_a_service_at_its_target_is_unchanged_and_gets_no_command(world: World) -> None:
    world.fleet.services["first"].current = ["r2"]
    run = await carried_out(world)
    assert states(run) == ["succeeded", "unchanged", "succeeded"]
    assert world.fleet.services["first"].operations == {}
    assert ("migration.step_finished", "first") in world.audit.told()


async def test_a_named_target_is_where_the_service_stops(world: World) -> None:
    run = await carried_out(world, services=["first"], target={"first": "r1"})
    assert (run.state, run.steps[0].to_revisions) == (RunState.SUCCEEDED, ["r1"])
    assert world.fleet.services["first"].applied == ["r1"]


async def test_a_failure_stops_the_rest_and_its_reason_is_the_runs(world: World) -> None:
    world.fleet.services["first"].fails_with = FAILURE
    run = await carried_out(world)
    assert run.state is RunState.FAILED
    assert states(run) == ["succeeded", "failed", "skipped"]
    assert run.error == run.steps[1].error == FAILURE
    assert world.fleet.services["second"].operations == {}
    finished = [e for e in world.audit.events.values() if e.event_type == "migration.step_finished"]
    assert [e.outcome for e in finished] == ["succeeded", "failed", "skipped"]
    assert finished[1].detail["error"]["sqlstate"] == "23505"


@pytest.mark.parametrize("stopped_by", ["a failure", "an obstacle"])
async def test_a_skipped_step_is_recorded_where_its_database_stayed(world: World, stopped_by: str) -> None:
    first, second = world.fleet.services["first"], world.fleet.services["second"]
    second.current = ["r1"]
    first.fails_with, first.obstacles = (FAILURE, []) if stopped_by == "a failure" else (None, [FAILURE])
    run = await carried_out(world)
    assert (run.steps[2].state, run.steps[2].to_revisions, run.steps[2].planned) == ("skipped", ["r1"], ["r2"])
    life = world.life()
    await life.drive()
    told = [e for e in world.audit.events.values() if (e.event_type, e.service) == (STEP_FINISHED, "second")]
    assert [(e.from_revision, e.to_revision, e.outcome) for e in told] == [("r1", "r1", "skipped")]


async def test_what_is_told_about_a_finished_step_later_changes_nothing(world: World) -> None:
    run = await carried_out(world)
    late = Outcome(state=StepState.FAILED, error=FAILURE)
    assert run.apply_outcome("first", late, world.clock()) is run
    assert run.begin_step("first", world.clock()) is run
    assert ending.finish(run, world.clock()) is run


async def test_one_obstacle_anywhere_means_that_no_step_starts_and_every_reason_is_named(world: World) -> None:
    world.fleet.services["first"].down = True
    world.fleet.services["second"].obstacles = [FAILURE.model_copy(update={"code": "CM-301", "detail": "two heads"})]
    run = await carried_out(world)
    assert run.state is RunState.FAILED
    assert states(run) == ["skipped"] * 3
    assert {(o.service, o.code) for o in run.obstacles} == {("first", "CM-802"), ("second", "CM-301")}
    assert run.error is not None
    assert run.error.code == "CM-204"
    assert "two heads" in run.error.detail
    assert "first" in run.error.detail
    assert all(service.operations == {} for service in world.fleet.services.values())


@pytest.mark.parametrize("lie", [{"digest": "none"}, {"from_revisions": ["'; drop table x"]}, {"revisions": []}])
async def test_a_plan_that_cannot_be_true_is_an_obstacle(world: World, lie: dict[str, object]) -> None:
    service = world.fleet.services["first"]
    original = service.plan
    service.plan = lambda target, **asked: original(target, **asked).model_copy(update=lie)  # type: ignore[method-assign]
    run = await carried_out(world)
    assert [(o.service, o.code) for o in run.obstacles] == [("first", "CM-801")]
    assert service.operations == {}


async def test_a_dry_run_shows_the_plan_and_touches_nothing(world: World) -> None:
    run = await carried_out(world, dry_run=True)
    assert run.state is RunState.PLANNED
    assert [step.planned for step in run.steps] == [["r1", "r2"]] * 3
    assert states(run) == ["pending"] * 3
    assert run.plan_digest
    assert all(service.operations == {} for service in world.fleet.services.values())


async def test_a_dry_run_shows_what_is_there_already_and_records_what_was_planned(world: World) -> None:
    world.fleet.services["first"].current = ["r2"]
    run = await carried_out(world, dry_run=True)
    assert states(run) == ["pending", "unchanged", "pending"]
    assert world.audit.told() == [
        ("migration.requested", None),
        *[("migration.step_planned", service) for service in ("audit", "first", "second")],
        ("migration.finished", None),
    ]


async def test_the_audits_own_migration_goes_first_and_its_events_follow_in_order(world: World) -> None:
    world.audit.migrated = False
    service = world.fleet.services["audit"]
    life = world.life()
    await life.acceptance.accept(read_request({"services": "all"}, default_request_id="r-1"))
    # The audit can be written as soon as its migration is through, which is what its operation ends with.
    original = service.poll
    service.poll = lambda operation_id: (setattr(world.audit, "migrated", True), original(operation_id))[1]  # type: ignore[method-assign]
    await life.drive()
    assert (await stored(life)).state is RunState.SUCCEEDED
    assert world.audit.told()[:3] == [
        ("migration.requested", None),
        ("migration.started", None),
        ("migration.step_started", "audit"),
    ]


@pytest.mark.parametrize("reason", ["down", "not migrated"])
async def test_nothing_new_starts_while_the_audit_cannot_be_written(world: World, reason: str) -> None:
    world.fleet.services["audit"].current = ["r2"]
    world.audit.down, world.audit.migrated = reason == "down", reason != "not migrated"
    run = await carried_out(world, most_timers=5)
    assert (run.state, run.audit) == (RunState.RUNNING, "pending")
    assert states(run) == ["unchanged", "pending", "pending"]
    assert "Nothing new starts" in (run.waiting_for or "")
    assert all(service.operations == {} for service in world.fleet.services.values())
    world.audit.down, world.audit.migrated = False, True
    life = world.life()
    await life.drive()
    run = await stored(life)
    assert (run.state, run.audit, run.waiting_for) == (RunState.SUCCEEDED, "recorded", None)


async def test_an_audit_that_was_there_before_is_not_taken_for_one_that_is_new(world: World) -> None:
    """Only a first migration of the audit may run unrecorded; a later one waits like everybody's."""
    world.fleet.services["audit"].current = ["r1"]
    world.audit.down = True
    run = await carried_out(world, most_timers=5)
    assert states(run) == ["pending"] * 3


async def test_what_runs_while_the_audit_goes_away_is_finished_and_recorded_later(world: World) -> None:
    service = world.fleet.services["second"]
    original = service.begin
    service.begin = lambda order: (setattr(world.audit, "down", True), original(order))[1]  # type: ignore[method-assign]
    run = await carried_out(world, most_timers=3)
    assert states(run) == ["succeeded"] * 3
    assert (run.state, run.audit) == (RunState.SUCCEEDED, "pending")
    world.audit.down = False
    life = world.life()
    await life.drive()
    assert (await stored(life)).audit == "recorded"
    assert world.audit.told()[-1] == ("migration.finished", None)


async def test_a_broker_that_is_away_stops_no_migration_and_gets_its_events_later(world: World) -> None:
    world.topic.down = True
    run = await carried_out(world, most_timers=3)
    assert (run.state, run.audit, run.settled) == (RunState.SUCCEEDED, "recorded", False)
    assert [entry.request_id for entry in (await world.life().runs.index()).open] == ["r-1"]
    world.topic.down = False
    life = world.life()
    await life.drive()
    assert (await stored(life)).settled
    assert [kind for kind, _ in world.topic.published] == [
        "migrate.accepted",
        "migrate.step.finished",
        "migrate.step.finished",
        "migrate.step.finished",
        "migrate.finished",
    ]


async def test_what_is_announced_carries_the_id_of_what_is_in_the_audit(world: World) -> None:
    await carried_out(world)
    known = {str(event_id) for event_id in world.audit.events}
    assert {event_id for _, event_id in world.topic.published} <= known


async def test_a_mistake_of_our_own_is_told_in_the_record_without_its_detail(world: World) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://user:secret@host")

    world.fleet.plan = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError):
        await carried_out(world)
    run = await stored(world.life())
    assert run.waiting_for is not None
    assert "coordinator's log" in run.waiting_for
    assert "secret" not in run.waiting_for


async def test_the_same_run_told_again_is_told_under_the_same_ids() -> None:
    told = []
    for _ in range(2):
        world = World()
        await carried_out(world)
        told.append(list(world.audit.events))
    assert told[0] == told[1]
    assert len(set(told[0])) == 9


async def test_the_record_that_others_see_has_no_outbox_but_says_whether_the_audit_has_everything(world: World) -> None:
    run = await carried_out(world)
    shown = run.public()
    assert "outbox" not in shown
    assert shown["audit"] == "recorded"
    assert shown["accepted_at"].endswith("Z")


async def test_a_run_whose_service_left_the_catalog_ends_with_that_reason(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-1"))
    world.catalog = world.catalog.model_copy(update={"services": world.catalog.services[:1]})
    other = world.life()
    await other.drive()
    run = await stored(other)
    assert (run.state, run.obstacles[0].code) == (RunState.FAILED, "CM-201")


async def test_a_run_ends_in_the_same_write_as_its_last_step(world: World) -> None:
    versions: list[tuple[str, list[str]]] = []
    replace = world.documents.replace

    async def watched(key: str, value: Mapping[str, Any], etag: str) -> bool:
        if key == "run-r-1":
            versions.append((value["state"], [step["state"] for step in value["steps"]]))
        return await replace(key, value, etag)

    world.documents.replace = watched  # type: ignore[method-assign]
    for service in world.fleet.services.values():
        service.current = ["r2"]
    await carried_out(world)
    assert versions[0] == ("succeeded", ["unchanged"] * 3)
    assert "running" not in [state for state, _ in versions]


async def test_a_run_whose_last_step_does_not_begin_ends_all_the_same(world: World) -> None:
    world.fleet.services["first"].fails_with = FAILURE
    run = await carried_out(world)
    assert (run.state, states(run)) == (RunState.FAILED, ["succeeded", "failed", "skipped"])
