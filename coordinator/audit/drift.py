"""Records that a database is not where its history and its journal say, once per finding."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from coordinator.audit.event_spool import AuditSpool
from coordinator.domain import audit_events
from coordinator.domain.plan import FleetPlan
from coordinator.domain.step import Step
from coordinator.errors import CoordinatorError
from coordinator.ports import Clock, FleetMessenger, ServiceAddress
from migration_sidecar.contract.messages import DatabaseState, ServiceStatus

log = logging.getLogger(__name__)

DRIFTED = {DatabaseState.AHEAD, DatabaseState.FOREIGN, DatabaseState.UNMANAGED, DatabaseState.UNKNOWN}
# With these a state is unknown because env.py, or a process for it, did not tell; that says nothing of the database.
UNTOLD = {"CM-308", "CM-407", "CM-409", "CM-701", "CM-703"}
# The codes of obstacles by which a plan reports drift.
CODES = {"CM-551", "CM-552"}


@dataclass
class DriftRecorder:
    """Called with each status that the API shows, and while a run is planned."""

    spool: AuditSpool
    clock: Clock
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def record(self, status: ServiceStatus) -> None:
        """Records a status that shows drift, in the background: the caller does not wait for the audit."""
        event = audit_events.drift_event(status, self.clock())
        is_untold = status.state is DatabaseState.UNKNOWN and status.error is not None and status.error.code in UNTOLD
        if status.state in DRIFTED and not is_untold and not self.spool.is_known(event.event_id):
            task = asyncio.create_task(self._record(status))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def check(self, messenger: FleetMessenger, plan: FleetPlan, steps: Iterable[Step]) -> None:
        """Asks the services whose plans say that their databases drifted for their status, and records what it says.

        Called while a run is planned. A service that does not answer is left out.
        """
        drifted = {obstacle.service for obstacle in plan.obstacles if obstacle.code in CODES}
        for step in steps:
            if step.service in drifted:
                try:
                    self.record(await messenger.status(ServiceAddress(step.service, step.database)))
                except CoordinatorError as error:
                    log.info("drift_not_looked_at", extra={"service": step.service, "why": error.detail})

    async def wait_recorded(self) -> None:
        """Waits until what was noticed is recorded."""
        await asyncio.gather(*self._tasks)

    async def _record(self, status: ServiceStatus) -> None:
        try:
            if await self.spool.record_once(audit_events.drift_event(status, self.clock())):
                log.warning("drift_found", extra={"service": status.service, "state": status.state.value})
        except CoordinatorError as error:
            log.warning("drift_not_recorded", extra={"service": status.service, "why": error.detail})
