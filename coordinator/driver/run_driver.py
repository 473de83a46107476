"""Carries a run out for one turn: as many steps as it can before the time of the activity is up.

Every change is stored before the next effect, and each may be repeated. When the process ends in the middle, the next
turn goes on from the record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from coordinator.domain.changes import compensation, ending, pausing, planning
from coordinator.domain.commands.command import Verb
from coordinator.domain.commands.waiting import Waiting
from coordinator.domain.policies.next_action import Action, NextAction, WindowCheck, always_open, decide
from coordinator.domain.run import Change, Run
from coordinator.domain.run_state import RunState
from coordinator.driver.compensator import Compensator
from coordinator.driver.planner import Planner
from coordinator.driver.queue import RunQueue
from coordinator.driver.settlement import Settlement
from coordinator.driver.step_runner import StepRunner
from coordinator.driver.turn import AGAIN, LONGEST_WAIT_SECONDS, OVER, Turn
from coordinator.errors import NoSuchRun
from coordinator.ports import Clock
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.repository import RunRepository

# Verbs that came through another replica are seen by reading the record again.
RECHECK_SECONDS = 2.0


@dataclass(frozen=True)
class RunDriver:
    """Drives one run at a time to where nothing can be done at once; several may be driven side by side."""

    runs: RunRepository
    change_notifier: ChangeNotifier
    planner: Planner
    steps: StepRunner
    compensator: Compensator
    settlement: Settlement
    queue: RunQueue
    clock: Clock
    closed: WindowCheck = always_open
    turn_seconds: float = 20.0
    stopwatch: Callable[[], float] = time.monotonic

    async def drive(self, request_id: str, generation: int) -> Turn:
        """One turn. A workflow of another generation than the record's is told that the run is over for it.

        Raises SidecarUnreachable, StateUnavailable and StateContended; the workflow then repeats it.
        """
        deadline = self.stopwatch() + self.turn_seconds
        work: dict[str, asyncio.Task[Turn]] = {}
        try:
            told: Run | None = None
            while True:
                run = told or await self.runs.read(request_id)
                if run is None or run.generation != generation:
                    return OVER
                done = await self._perform(run, await self._decide(run), work, deadline)
                if isinstance(done, Turn):
                    return done
                told = done
                if self.stopwatch() >= deadline:
                    return AGAIN
        except NoSuchRun:
            return OVER
        finally:
            await _end(work)

    async def _decide(self, run: Run) -> NextAction:
        waits_behind = await self.queue.run_before(run) if run.state is RunState.ACCEPTED else None
        return decide(run, self.clock(), waits_behind=waits_behind, closed=self.closed)

    async def _perform(
        self, run: Run, decided: NextAction, work: dict[str, asyncio.Task[Turn]], deadline: float
    ) -> Turn | Run | None:
        """Does what was decided; a Turn where nothing more can be done in this one, else the record if it is known."""
        match decided.action:
            case Action.HOLD if decided.waiting is not None:
                return await self._hold(run, decided.waiting)
            case Action.WORK | Action.TAKE_BACK:
                return await self._work(run, decided, work, deadline)
            case Action.PLAN:
                return await self.planner.plan(run)
            case Action.SETTLE:
                return await self._settle(run)
            case _:
                return await self._change(run, CHANGES[decided.action])

    async def _work(
        self, run: Run, decided: NextAction, work: dict[str, asyncio.Task[Turn]], deadline: float
    ) -> Turn | Run | None:
        """Has the services worked at, until one of them is done, the record changed, or the time is up."""
        carry_out = self.steps.carry_out if decided.action is Action.WORK else self.compensator.take_back
        for service in decided.services:
            if service not in work:
                work[service] = asyncio.create_task(carry_out(run, service, deadline))
        if run.stop is not None and (run.stop.verb is Verb.CANCEL or run.stop.now):
            await self.steps.cancel(run)
        done, told = await self._first_done(run.request_id, work)
        held = [turn for turn in done if turn.wait_seconds]
        return held[0] if held and not work else told

    async def _first_done(self, request_id: str, work: dict[str, asyncio.Task[Turn]]) -> tuple[list[Turn], Run | None]:
        """How the work ended that is done, and the record where it was written meanwhile and nothing is done."""
        watching = asyncio.create_task(self.change_notifier.wait(request_id, RECHECK_SECONDS))
        try:
            await asyncio.wait({*work.values(), watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
        ended = {service: task for service, task in work.items() if task.done()}
        for service in ended:
            del work[service]
        failed = [error for task in ended.values() if (error := task.exception()) is not None]
        if failed:
            raise failed[0]  # the workflow repeats the turn, which meets the others again
        told = watching.result() if watching.done() and not watching.cancelled() and not ended else None
        return [task.result() for task in ended.values()], told

    async def _hold(self, run: Run, waiting: Waiting) -> Turn:
        held = await self.runs.update(run.request_id, _unless_moved(run, lambda run: run.held(waiting)))
        if held.state is not run.state or held.stop != run.stop:
            return AGAIN
        self.settlement.relay.deliver_in_background(held)  # it may be held for days
        return Turn(wait_seconds=_seconds_until(waiting.until, self.clock()))

    async def _settle(self, run: Run) -> Turn:
        turn = await self.settlement.settle(run)
        if turn.over:
            await self.queue.wake_next(run)
        return turn

    async def _change(self, run: Run, change: Callable[[Run, datetime], Run]) -> Run:
        return await self.runs.update(run.request_id, lambda run: change(run, self.clock()))


def _cancel(run: Run, now: datetime) -> Run:
    return run if run.running else ending.cancelled(run, now)


CHANGES: Mapping[Action, Callable[[Run, datetime], Run]] = {
    Action.AWAIT_APPROVAL: planning.await_approval_again,
    Action.PAUSE: pausing.paused,
    Action.PAUSE_AFTER_WAVE: pausing.paused_after_wave,
    Action.CANCEL: _cancel,
    Action.COMPENSATE: compensation.begin,
    Action.FINISH: ending.finish,
    Action.MISS_DEADLINE: ending.deadline_passed,
}


def _unless_moved(observed: Run, change: Change) -> Change:
    """The change, if the run is still in the state that it was decided for."""
    return lambda run: change(run) if (run.state, run.stop) == (observed.state, observed.stop) else run


def _seconds_until(until: datetime | None, now: datetime) -> float:
    """At least a tenth of a second: a wait of nothing would be no wait."""
    if until is None:
        return LONGEST_WAIT_SECONDS
    return min(LONGEST_WAIT_SECONDS, max(0.1, (until - now).total_seconds()))


async def _end(work: Mapping[str, asyncio.Task[Turn]]) -> None:
    """Ends what still waits; the operations of the services go on, and the next turn asks for them."""
    tasks: list[Awaitable[Turn]] = []
    for task in work.values():
        task.cancel()
        tasks.append(task)
    for waiting in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await waiting
