"""Puts a run driver together from the parts that app.py made."""

from __future__ import annotations

from coordinator.audit.drift import DriftRecorder
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.catalog import Catalog
from coordinator.domain.policies.window_check import window_check
from coordinator.driver.agreement import Agreement
from coordinator.driver.compensator import Compensator
from coordinator.driver.planner import Planner
from coordinator.driver.queue import RunQueue
from coordinator.driver.run_driver import RunDriver
from coordinator.driver.settlement import Settlement
from coordinator.driver.step_runner import StepRunner
from coordinator.ports import Clock, FleetMessenger, WorkflowScheduler
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.repository import RunRepository
from coordinator.steps.step_executor import StepExecutor


def build_run_driver(
    *,
    runs: RunRepository,
    change_notifier: ChangeNotifier,
    relay: OutboxRelay,
    executor: StepExecutor,
    messenger: FleetMessenger,
    scheduler: WorkflowScheduler,
    catalog: Catalog,
    drift_recorder: DriftRecorder,
    clock: Clock,
    planning_patience_seconds: float,
) -> RunDriver:
    """All parts share the repository and the clock."""
    planner = Planner(runs, relay, catalog, messenger, drift_recorder, clock, planning_patience_seconds)
    return RunDriver(
        runs=runs,
        change_notifier=change_notifier,
        planner=planner,
        steps=StepRunner(runs, relay, executor, Agreement(runs, planner, clock), messenger, catalog, clock),
        compensator=Compensator(runs, executor, messenger, clock),
        settlement=Settlement(runs, relay, clock),
        queue=RunQueue(runs, scheduler),
        clock=clock,
        closed=window_check(catalog),
    )
