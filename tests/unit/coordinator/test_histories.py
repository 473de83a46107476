"""Histories that releases have left in Dapr, and today's own, replayed by the SDK's executor as the worker does it."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from dapr.ext.workflow import DaprWorkflowContext, when_all

from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.driver import activities
from coordinator.driver.turn import AGAIN, OVER, Turn
from coordinator.workflow import former as former_workflow
from coordinator.workflow.current import TURNS_PER_HISTORY, migrate
from tests.histories.engine import Engine, Order, events_of
from tests.unit.coordinator.fakes import START, World

RECORDED = sorted((Path(__file__).parents[2] / "histories").glob("*/*.json"))
COMMAND = {"request_id": "r-1", "generation": 2}
DRIVE = [Order("drive", COMMAND)]
HELD = Turn(wait_seconds=30).document()


@pytest.fixture(autouse=True)
def tasks_are_those_of_the_sdk(tasks_are_plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former_workflow, "when_all", when_all)


def next_turn(workflow: Any, file: Path) -> tuple[Engine, list[Order], list[Order]]:
    """The instance, what it orders in the turn after the history, and what the release ordered."""
    document = json.loads(file.read_text())
    engine = Engine.recorded(workflow, document)
    came = [event for event in events_of(document["new"]) if not event.HasField("workflowStarted")]
    return engine, engine.turn(*came), [Order(*order) for order in document["orders"]]


def test_every_kind_of_history_was_recorded() -> None:
    kinds = {"start", "mid_wave", "retrying", "waiting_timer", "second_history", "settling"}
    assert {file.stem for file in RECORDED if file.parent.name == "0.2"} == kinds


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_history_of_an_earlier_release_is_replayed_and_the_same_is_ordered_next(file: Path) -> None:
    _, ordered, recorded = next_turn(migrate, file)
    assert ordered == recorded


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}/{file.stem}")
async def test_wherever_a_run_of_an_earlier_release_stands_its_workflow_ends_and_the_next_one_drives_it(
    file: Path, world: World
) -> None:
    life = world.life()
    former = Run.accept(read_request({"services": "all"}, default_request_id="r-1"), START)
    await life.runs.create(former.model_copy(update={"generation": 0}))
    engine, ordered, _ = next_turn(migrate, file)
    for _ in range(5):
        if not engine.pending:
            break
        answers = []
        for task_id, (name, order) in engine.pending.items():
            answers.append((task_id, await activities.ACTIVITIES[name](order, dependencies=life.dependencies)))
        ordered = engine.complete(*answers)
    assert ordered == [Order("completed")]
    assert all(service.operations == {} for service in world.fleet.services.values())
    await life.recovery_loop.run_once()
    assert list(world.workflows.instances) == ["r-1.1"]
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    assert (run.state, run.settled, run.generation) == ("succeeded", True, 1)


def without_the_guard(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
    while not (yield ctx.call_activity("drive", input=command))["over"]:
        pass


def finishing_first(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
    yield ctx.call_activity("finish", input=command)
    yield from former_workflow.migrate(ctx, command)


def pausing_first(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
    yield ctx.create_timer(former_workflow.SETTLING_PAUSE)
    yield from former_workflow.migrate(ctx, command)


@pytest.mark.parametrize("changed", [without_the_guard, finishing_first, pausing_first])
@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_workflow_that_orders_anything_else_fails_at_every_history(file: Path, changed: Any) -> None:
    """Without this the tests above could prove nothing."""
    _, ordered, recorded = next_turn(changed, file)
    assert [order.what for order in ordered] == ["failed"]
    assert ordered != recorded
    assert "non-deterministic" in ordered[0].detail.lower()


def test_a_plan_that_is_read_in_another_way_is_seen_in_the_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK compares names and no inputs, so that another service in the place of one fails nowhere in Dapr."""
    (file,) = [file for file in RECORDED if file.stem == "second_history"]
    monkeypatch.setattr(former_workflow.RunSchedule, "next", lambda schedule: [schedule.legs[-1].service])
    _, ordered, recorded = next_turn(migrate, file)
    assert ordered != recorded


# --- the present kind -------------------------------------------------------------------------------------------------


def test_a_new_instance_has_its_run_driven_and_remembers_in_its_history_that_it_is_of_the_present_kind() -> None:
    engine = Engine(migrate)
    assert engine.start(COMMAND) == DRIVE
    assert engine.complete((1, AGAIN.document())) == DRIVE
    assert engine.complete((2, OVER.document())) == [Order("completed")]


def test_a_history_that_an_earlier_release_began_anew_and_never_replayed_is_of_the_present_kind() -> None:
    """Its run has no generation, and is driven as it is."""
    command = {"request_id": "r-1"}
    assert Engine(migrate).start(command) == [Order("drive", command)]


def test_a_wait_ends_with_its_time() -> None:
    engine = Engine(migrate)
    engine.start(COMMAND)
    assert engine.complete((1, HELD)) == [Order("timer", 30)]
    assert engine.fire(2) == DRIVE


def test_a_wait_ends_when_somebody_wakes_the_run_and_its_timer_then_means_nothing() -> None:
    engine = Engine(migrate)
    engine.start(COMMAND)
    engine.complete((1, HELD))
    assert engine.wake() == DRIVE
    assert engine.fire(2) == []
    assert engine.complete((3, OVER.document())) == [Order("completed")]


def test_a_wake_that_comes_while_a_turn_is_under_way_is_not_lost() -> None:
    engine = Engine(migrate)
    engine.start(COMMAND)
    assert engine.wake() == []
    assert engine.complete((1, HELD)) == DRIVE


def test_a_wait_whose_time_was_up_swallows_no_later_wake() -> None:
    """As the one that lost a race in `when_any` would."""
    engine = Engine(migrate)
    engine.start(COMMAND)
    engine.complete((1, HELD))
    engine.fire(2)
    assert engine.wake() == []
    assert engine.complete((3, HELD)) == DRIVE


def test_a_turn_that_fails_is_repeated_for_minutes_before_its_workflow_fails() -> None:
    engine = Engine(migrate)
    engine.start(COMMAND)
    pauses = []
    for _ in range(29):
        (task_id,) = engine.pending
        (timer,) = engine.fail(task_id)
        pauses.append(timer.detail)
        assert engine.fire(task_id + 1) == DRIVE
    assert (pauses[0], max(pauses)) == (1, 10)
    assert 200 < sum(pauses) < 300
    (task_id,) = engine.pending
    assert [order.what for order in engine.fail(task_id)] == ["failed"]


def test_a_long_run_goes_on_in_a_fresh_history_and_takes_along_who_woke_it() -> None:
    engine = Engine(migrate)
    ordered = engine.start(COMMAND)
    for number in range(1, TURNS_PER_HISTORY + 1):
        assert ordered == DRIVE
        if number == TURNS_PER_HISTORY:
            engine.wake()
        ordered = engine.complete((number, AGAIN.document()))
    assert [order.what for order in ordered] == ["continued as new"]
    second = Engine(migrate)
    assert second.start(COMMAND, *engine.carried_over) == DRIVE
    assert second.complete((1, HELD)) == DRIVE
