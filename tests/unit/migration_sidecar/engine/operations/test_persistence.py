"""An accepted operation is gone on with, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable, UnknownTarget
from migration_sidecar.contract.messages import Problem
from migration_sidecar.engine.operations import retry
from migration_sidecar.engine.operations.retry import MAX_ATTEMPTS, run_until_done

AWAY = DatabaseUnreachable("CM-513", "The server is away.")


class Driver:
    """Raises what it was given, one after the other, and then ends."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.ended = False
        self.given_up: list[Problem] = []

    async def drive(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.ended = True

    async def give_up(self, problem: Problem) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.given_up.append(problem)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.0)


async def carried(*errors: Exception) -> Driver:
    driver = Driver(*errors)
    await run_until_done(driver.drive, driver.give_up, {"operation": "one"})
    return driver


async def test_what_breaks_off_is_gone_on_with() -> None:
    assert (await carried(RuntimeError(), ValueError())).ended


async def test_a_database_that_is_away_is_waited_for_however_long() -> None:
    driver = await carried(*[AWAY] * (MAX_ATTEMPTS * 3))
    assert driver.ended
    assert driver.given_up == []


@pytest.mark.parametrize(("error", "code"), [(RuntimeError, "CM-901"), (lambda: UnknownTarget("gone"), "CM-203")])
async def test_what_breaks_off_again_and_again_is_a_persons_case(error: Callable[[], Exception], code: str) -> None:
    driver = await carried(*[error() for _ in range(MAX_ATTEMPTS)])
    assert not driver.ended
    assert [problem.code for problem in driver.given_up] == [code]


async def test_giving_up_waits_for_the_database_too() -> None:
    driver = await carried(*[RuntimeError()] * MAX_ATTEMPTS, AWAY, AWAY)
    assert [problem.code for problem in driver.given_up] == ["CM-901"]
