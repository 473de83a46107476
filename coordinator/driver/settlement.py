"""Delivers what an ended run owes: its events to the audit and to the topic. Then nothing is left to do for it."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.run import Run
from coordinator.driver.turn import OVER, Turn
from coordinator.ports import Clock
from coordinator.runs.repository import RunRepository
from coordinator.unavailable import AuditUnavailable, SidecarUnreachable

SETTLING_PAUSE_SECONDS = 2.0
LATER = Turn(wait_seconds=SETTLING_PAUSE_SECONDS)


@dataclass(frozen=True)
class Settlement:
    """Repeated until the run is settled."""

    runs: RunRepository
    relay: OutboxRelay
    clock: Clock

    async def settle(self, run: Run) -> Turn:
        """Over once all is delivered; until then it is tried again after a pause."""
        try:
            await self.relay.deliver_to_audit(run)
        except (AuditUnavailable, SidecarUnreachable) as error:
            waiting = Waiting.of(WaitingKind.AUDIT, error.problem().detail, self.clock())
            await self.runs.update(run.request_id, lambda run: run.held(waiting) if run.state.terminal else run)
            return LATER
        # A reader who waits for `audit: recorded` need not wait for the broker: the repository knows what is delivered.
        announced = await self.relay.publish_progress(run)
        run = await self.runs.write_deliveries(run.request_id)
        if not (announced and run.settled):
            return LATER
        await self.runs.index_remove({run.request_id: run.round})
        return OVER
