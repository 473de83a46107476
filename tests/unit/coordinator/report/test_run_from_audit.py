"""I12: a run's record rebuilt from the audit alone says the same as the record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migration_sidecar.contract.messages import Problem
from tests.unit.coordinator.domain.test_run import FAILURE, carried_out
from tests.unit.coordinator.fakes import World
from tests.unit.coordinator.report.rebuilt import facts_of, rebuilt

OBSTACLE = Problem(code="CM-301", title="t", detail="two heads", next_step="n", retryable=True)


def nothing(world: World) -> None:
    pass


def one_fails(world: World) -> None:
    world.fleet.services["first"].fails_with = FAILURE


def one_is_there_already(world: World) -> None:
    world.fleet.services["first"].current = ["r2"]


def one_is_on_its_way(world: World) -> None:
    world.fleet.services["second"].current = ["r1"]


def two_stand_in_the_way(world: World) -> None:
    world.fleet.services["first"].obstacles = [OBSTACLE, FAILURE]
    world.fleet.services["second"].down = True


WORLDS = [nothing, one_fails, one_is_there_already, one_is_on_its_way, two_stand_in_the_way]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("change", WORLDS)
async def test_a_record_rebuilt_from_the_audit_says_the_same(
    change: Callable[[World], None], dry_run: bool, world: World
) -> None:
    change(world)
    run = await carried_out(world, dry_run=dry_run, requested_by="ada", reason="release 41", max_parallel=2)
    assert run.state.terminal
    life = world.life()
    await life.drive()
    events = [event for event in world.audit.events.values() if event.request_id == "r-1"]
    assert rebuilt(events) == facts_of(run)
