"""What happens to accepted runs and refused events when nobody repeats anything."""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from coordinator.audit.event_spool import PENDING, PENDING_LIMIT
from coordinator.domain import audit_events
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.driver import activities
from coordinator.errors import NotJson
from coordinator.runs.recovery_loop import ABANDONED_AFTER, MAX_CONCURRENT
from coordinator.unavailable import AuditUnavailable, StateUnavailable
from migration_sidecar.contract.messages import AuditEvent
from tests.unit.coordinator.fakes import START, Instance, World

REQUEST = read_request({"services": "all"}, default_request_id="r-1")


def refusal(number: int) -> AuditEvent:
    return audit_events.rejection_event(
        ("event", "s", str(number)), START, NotJson("it is not.").problem(), request_id=None
    )


async def test_a_run_without_a_workflow_is_started(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    world.workflows.instances.clear()
    await life.recovery_loop.run_once()
    assert list(world.workflows.instances) == ["r-1.1"]


async def test_a_run_whose_workflow_ended_too_early_is_taken_up_again_by_one_of_the_next_generation(
    world: World,
) -> None:
    """An instance id is never used twice: the history of the one that ended stays for who asks why."""
    life = world.life()
    await life.acceptance.accept(REQUEST)
    world.workflows.instances["r-1.1"].over = True
    await life.recovery_loop.run_once()
    assert {name: instance.over for name, instance in world.workflows.instances.items()} == {
        "r-1.1": True,
        "r-1.2": False,
    }
    assert (await life.runs.read("r-1")).generation == 2  # type: ignore[union-attr]
    await life.drive()
    assert (await life.runs.read("r-1")).settled  # type: ignore[union-attr]
    assert world.workflows.instances["r-1.1"].history == []


async def test_a_workflow_that_several_replicas_find_ended_is_followed_by_one(world: World) -> None:
    lives = [world.life() for _ in range(3)]
    await lives[0].acceptance.accept(REQUEST)
    world.workflows.instances["r-1.1"].over = True
    await asyncio.gather(*(life.recovery_loop.run_once() for life in lives))
    assert sorted(world.workflows.instances) == ["r-1.1", "r-1.2"]


async def test_a_run_of_an_earlier_release_whose_workflow_has_handed_it_over_gets_one_of_the_first_generation(
    world: World,
) -> None:
    life = world.life()
    former = Run.accept(REQUEST, START).model_copy(update={"generation": 0})
    await life.runs.create(former)
    assert former.instance_id == "r-1"
    assert "generation" not in json.loads(world.documents.documents["run-r-1"][0])
    world.workflows.instances["r-1"] = Instance()
    answer = await activities.finish({"request_id": "r-1"}, dependencies=life.dependencies)
    assert answer == {"settled": True}
    world.workflows.instances["r-1"].over = True
    await life.recovery_loop.run_once()
    assert not world.workflows.instances["r-1.1"].over
    await life.drive()
    assert (await life.runs.read("r-1")).settled  # type: ignore[union-attr]


async def test_a_run_that_is_being_carried_out_is_left_alone(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    alive = dict(world.workflows.instances)
    await life.recovery_loop.run_once()
    assert world.workflows.instances == alive
    assert world.workflows.instances["r-1.1"] is alive["r-1.1"]


async def test_a_workflow_that_keeps_failing_is_retried_less_and_less_often(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    for _ in range(40):
        for instance in world.workflows.instances.values():
            instance.over = True
        await life.recovery_loop.run_once()
    assert 3 <= len(world.workflows.instances) - 1 <= 7


async def test_a_round_that_took_too_long_goes_on_with_the_runs_it_did_not_come_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that answers nothing takes ten seconds for each look, and many runs may be open."""
    asked: list[str] = []

    async def never(instance_id: str) -> Any:
        asked.append(instance_id)
        await asyncio.sleep(3600)

    life = world.life()
    numbers = range(3 * MAX_CONCURRENT)
    for number in numbers:
        await life.acceptance.accept(read_request({"services": "all"}, default_request_id=f"r-{number}"))
    monkeypatch.setattr(world.workflows, "driver", never)
    for _ in range(3):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await life.recovery_loop.run_once()
    assert sorted(asked) == sorted(f"r-{number}.1" for number in numbers)


async def test_an_entry_without_a_record_is_tidied_away_only_when_nobody_can_be_writing_it(world: World) -> None:
    life = world.life()
    await life.runs.index_add(Run.accept(REQUEST.model_copy(update={"request_id": "lost"}), world.clock()))
    await life.recovery_loop.run_once()
    assert [entry.request_id for entry in (await life.runs.index()).open] == ["lost"]
    world.clock.at += timedelta(days=1)  # a clock that was set tells nothing about who is writing
    await life.recovery_loop.run_once()
    assert [entry.request_id for entry in (await life.runs.index()).open] == ["lost"]
    world.seconds += ABANDONED_AFTER.total_seconds() + 1
    await life.recovery_loop.run_once()
    index = await life.runs.index()
    assert (index.open, index.recent) == ([], [])


async def test_a_settled_run_leaves_the_open_list_and_stays_among_the_recent(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    await life.drive()
    await life.runs.index_add(Run.accept(REQUEST, world.clock()))
    await life.recovery_loop.run_once()
    index = await life.runs.index()
    assert (index.open, index.recent) == ([], ["r-1"])
    assert life.recovery_loop.open_runs == 0


async def test_refusals_wait_for_the_audit_and_are_then_recorded_once(world: World) -> None:
    world.audit.migrated = False
    life = world.life()
    for number in (1, 2, 1):
        await life.rejections.record(refusal(number))
    with pytest.raises(AuditUnavailable):
        await life.rejections.flush()
    world.audit.migrated = True
    assert await life.rejections.flush() == 2
    assert await life.rejections.flush() == 0
    assert list(world.audit.events) == [refusal(1).event_id, refusal(2).event_id]


async def test_a_flood_of_refusals_keeps_the_newest_and_counts_the_rest(world: World) -> None:
    world.audit.down = True
    life = world.life()
    for number in range(PENDING_LIMIT + 5):
        await life.spool.record_once(refusal(number))
    document = await world.documents.read(PENDING)
    assert document is not None
    assert (len(document.value["events"]), document.value["dropped"]) == (PENDING_LIMIT, 5)


async def test_a_refusal_that_can_be_kept_nowhere_is_asked_for_again(world: World) -> None:
    world.audit.down = world.documents.down = True
    with pytest.raises(StateUnavailable):
        await world.life().rejections.record(refusal(1))


async def test_a_refusal_is_recorded_also_while_the_broker_is_away(world: World) -> None:
    world.topic.down = True
    await world.life().rejections.record(refusal(1))
    assert list(world.audit.events) == [refusal(1).event_id]


async def test_a_run_that_cannot_be_looked_after_keeps_no_other_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world.life()
    ids = [f"r-{number}" for number in range(2 * MAX_CONCURRENT + 1)]
    for request_id in ids:
        await life.acceptance.accept(REQUEST.model_copy(update={"request_id": request_id}))
    look_after = life.recovery_loop.recovery.recover

    async def stumbling(run: Run) -> None:
        if run.request_id == ids[0]:
            raise ZeroDivisionError
        await look_after(run)

    monkeypatch.setattr(life.recovery_loop.recovery, "recover", stumbling)
    world.workflows.instances.clear()
    await life.recovery_loop.run_once()
    assert list(world.workflows.instances) == [f"{request_id}.1" for request_id in ids[1:]]
