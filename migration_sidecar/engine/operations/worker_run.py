"""The talk with one migration process: its orders, its reports, and what its end means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field

from migration_sidecar.engine.operations.execution import Course
from migration_sidecar.engine.operations.verdict import Ending
from migration_sidecar.forkserver.client import MigrationProcess
from migration_sidecar.protocol.orders import DID_NOTHING, OrdersMessage
from migration_sidecar.protocol.reports import ProblemFacts, Report


@dataclass
class Conversation:
    """What one migration process told; without a word about its end the attempt counts as lost."""

    run: Course
    ending: Ending = field(default_factory=lambda: Ending(lost=True))
    told: bool = False  # it said itself how it ended
    reached: bool = False  # it had a session with the database
    unconnected: bool = False  # the driver got no session, and gave no SQLSTATE for the reason

    @property
    def cut_off(self) -> bool:
        """Nobody closed its session."""
        return not self.told or self.ending.lost

    @property
    def at_rest(self) -> bool:
        """Its session can have no more effect; after a failure it may, with a COMMIT sent and its answer not read."""
        return self.told and (self.ending.problem is None or not self.reached)

    async def hold(self, process: AbstractAsyncContextManager[MigrationProcess], orders: OrdersMessage) -> None:
        """Until the process is gone, the operation is cancelled, or its deadline passed: then it is killed."""
        talking = asyncio.create_task(self._talk(process, orders))
        cancelled = asyncio.create_task(self.run.cancelled.wait())
        try:
            await asyncio.wait({talking, cancelled}, timeout=self.run.seconds_left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
            stopped = talking.cancel()  # leaving its block kills the process
            await asyncio.wait({talking})
        if not stopped:
            talking.result()

    async def _talk(self, process: AbstractAsyncContextManager[MigrationProcess], orders: OrdersMessage) -> None:
        async with process as migration:
            await migration.order(orders)
            async with aclosing(migration.reports()) as reports:
                await self._listen(reports)

    async def _listen(self, reports: AsyncIterator[Report]) -> None:
        async for report in reports:
            match report["event"]:
                case "session":
                    self.reached, self.run.session = True, report["pid"]
                case "waiting":
                    self.run.update(waiting_for=report["sentence"])
                case "revision":
                    self.run.revision = report["revision"]
                case "applied":
                    self.run.revision = None
                case "done":
                    self.ending, self.told = Ending(), True
                    return  # nothing comes after it, so nobody waits for the process to be taken down
                case "failed":
                    self._failed(report["problem"])
                case "exited" if self._silent and (code := report["code"]) is not None and code != DID_NOTHING:
                    self.ending = Ending(_ended_itself(code, self.run.revision))

    @property
    def _silent(self) -> bool:
        return not self.told and self.ending.problem is None

    def _failed(self, problem: ProblemFacts) -> None:
        self.ending = Ending(problem, lost=bool(problem.get("connection_lost")))
        self.told = True
        self.unconnected = bool(problem.get("unconnected")) and not self.reached


def _ended_itself(code: int, revision: str | None) -> ProblemFacts:
    cause = f"ended its own process with exit code {code}"
    return {
        "code": "CM-401" if revision else "CM-407",
        "detail": f"Revision {revision} {cause}; the database is at the revision before it."
        if revision
        else f"The migration environment {cause}.",
        "next_step": f"Remove the exit from {'the revision file' if revision else 'env.py'} and migrate again.",
        "revision": revision,
        "cause": cause,
    }
