"""The metrics for Prometheus, read from the objects that count them at each request for `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from coordinator.runs.intake import RequestIntake
from coordinator.runs.recovery_loop import RecoveryLoop

OUTCOMES = ("accepted", "conflict", "rejected")


@dataclass(frozen=True, eq=False)
class CoordinatorMetrics(Collector):
    """The names and labels are a contract: dashboards and alerts depend on them."""

    recovery_loop: RecoveryLoop
    intake: RequestIntake
    is_worker_connected: Callable[[], bool]

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client for each request."""
        requests = CounterMetricFamily(
            "coordinator_requests", "Requests since this process started, by what became of them.", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            requests.add_metric([outcome], self.intake.counts[outcome])
        yield requests
        for name, documentation, value in self._gauges():
            yield GaugeMetricFamily(f"coordinator_{name}", documentation, value=value)

    def _gauges(self) -> Iterator[tuple[str, str, int]]:
        audit_trail, damaged = self.recovery_loop.audit_trail, self.recovery_loop.runs.damaged_documents.copies
        yield (
            "open_runs",
            "Runs that have not ended, or whose end is not recorded in the audit.",
            self.recovery_loop.open_runs,
        )
        yield "still_runs", "Open runs that stand still, as their records say.", self.recovery_loop.still_runs
        yield (
            "audit_away",
            "1 while the audit cannot be written, else 0.",
            int(audit_trail.unavailable_since is not None),
        )
        yield "audit_events_waiting", "Events that the audit does not have yet.", audit_trail.events_waiting
        yield "damaged_documents", "Documents in the state store that cannot be read.", len(damaged)
        yield "worker_connected", "1 while the workflow engine takes turns, else 0.", int(self.is_worker_connected())
