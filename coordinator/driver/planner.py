"""Plans an accepted run, and one step of it again; what the plan makes of the run is decided in the domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.audit.drift import DriftRecorder
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.catalog import Catalog
from coordinator.domain.changes.planning import with_plan
from coordinator.domain.plan import FleetPlan
from coordinator.domain.policies.approval_reasons import approval_reasons
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.errors import CoordinatorError
from coordinator.ports import Clock, FleetMessenger
from coordinator.runs.repository import RunRepository
from coordinator.steps.fleet_plan import plan_run
from coordinator.unavailable import DocumentTooLarge


@dataclass(frozen=True)
class Planner:
    """Asks the services for their plans. Raises SidecarUnreachable."""

    runs: RunRepository
    relay: OutboxRelay
    catalog: Catalog
    messenger: FleetMessenger
    drift_recorder: DriftRecorder
    clock: Clock
    patience_seconds: float = 10.0

    async def plan(self, run: Run) -> Run:
        """Plans an accepted run. One that has a plan keeps it: a later change of the catalog does not alter it."""
        plan, steps = await plan_run(run, self.catalog, self.messenger, patience_seconds=self.patience_seconds)
        await self.drift_recorder.check(self.messenger, plan, steps)
        run = await self._store(run, plan, steps)
        self.relay.deliver_in_background(run)
        return run

    async def plan_step(self, run: Run, service: str) -> Step | None:
        """The step as its service plans it now; None where it gives no plan, or one with obstacles."""
        try:
            plan, steps = await plan_run(run, self.catalog, self.messenger, patience_seconds=0, only=service)
        except CoordinatorError:
            return None
        return None if plan.obstacles else next((step for step in steps if step.service == service), None)

    async def _store(self, run: Run, plan: FleetPlan, steps: Sequence[Step]) -> Run:
        """Stores the plan. A plan that is too large for the record becomes an obstacle, which ends the run."""
        because = approval_reasons(run.request, plan, self.catalog.approvals, self.catalog.requiring_approval)
        try:
            return await self.runs.update(
                run.request_id, lambda run: with_plan(run, plan, steps, self.clock(), because)
            )
        except DocumentTooLarge as error:
            too_large = FleetPlan(plans=[], obstacles=[error.problem()])
            return await self.runs.update(run.request_id, lambda run: with_plan(run, too_large, [], self.clock()))
