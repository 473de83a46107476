"""The numbers for Prometheus, read from the parts that count them when somebody asks for `/metrics`."""

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
    """Names and labels are a contract with those who made dashboards and alerts of them."""

    sweep: RecoveryLoop
    reception: RequestIntake
    is_worker_connected: Callable[[], bool]

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "coordinator_requests", "Requests since this process started, by what became of them.", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            requests.add_metric([outcome], self.reception.counts[outcome])
        yield requests
        for name, documentation, value in self._gauges():
            yield GaugeMetricFamily(f"coordinator_{name}", documentation, value=value)

    def _gauges(self) -> Iterator[tuple[str, str, int]]:
        standing, damaged = self.sweep.audit_trail, self.sweep.runs.damage.copies
        yield "open_runs", "Runs that have not ended, or whose end is not recorded in the audit.", self.sweep.open_runs
        yield "still_runs", "Open runs that stand still, as their records say.", self.sweep.still_runs
        yield "audit_away", "1 while the audit cannot be written, else 0.", int(standing.unavailable_since is not None)
        yield "audit_events_waiting", "Events that the audit does not have yet.", standing.events_waiting
        yield "damaged_documents", "Documents in the state store that cannot be read.", len(damaged)
        yield "worker_connected", "1 while the workflow engine takes turns, else 0.", int(self.is_worker_connected())
