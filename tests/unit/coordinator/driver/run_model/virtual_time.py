"""Time that passes only while everybody waits, so that an hour of pauses takes no time and is the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from coordinator.driver.run_driver import RunDriver
from tests.unit.coordinator.fakes import Fate


class WaitingSelector(selectors.SelectSelector):
    """Passes the time that an event loop wants to wait."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if timeout > 0:
            self._passed(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a time of its own; `passed` is told whenever some of it passes."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        self.seconds, self._told = 0.0, passed
        super().__init__(WaitingSelector(self._pass))

    def time(self) -> float:
        return self.seconds

    def _pass(self, seconds: float) -> None:
        # The loop wakes for what is due within its resolution: a little more, so that it always gets there.
        self.seconds += seconds + 1e-6
        self._told(seconds)


@dataclass
class SlowFate(Fate):
    """Effects take different times, so that things that go on side by side meet in many orders."""

    random: Random = field(default_factory=Random)
    delays: Sequence[float] = (0, 0, 0, 0.002, 0.03)

    @asynccontextmanager
    async def effect(self) -> AsyncIterator[None]:
        await asyncio.sleep(self.random.choice(self.delays))
        async with super().effect():
            yield


def on_time_of(driver: RunDriver, stopwatch: Callable[[], float]) -> RunDriver:
    """The driver with this stopwatch in all of its parts."""
    steps = replace(driver.steps, stopwatch=stopwatch)
    compensator = replace(driver.compensator, stopwatch=stopwatch)
    return replace(driver, stopwatch=stopwatch, steps=steps, compensator=compensator)
