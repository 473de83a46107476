"""The usual deployment: one more revision for a database that has a history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.one_database.ground import SETTLE_SECONDS
from bench.one_database.serving import Service
from bench.one_database.ways import BARE, BareAlembic, Served
from bench.rounds import Variant

REVISIONS = 20


@dataclass(frozen=True)
class NextRevision:
    """Seconds of every counted round, by way."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median_seconds(self, way: str) -> float:
        """The median of one way."""
        return median(self.seconds[way])

    def ratio(self, way: str) -> float:
        """The time of bare Alembic divided by the time of this way."""
        return self.median_seconds(BARE) / self.median_seconds(way)


def next_revision(services: Sequence[Service], rounds: int, make_anew: Callable[[], None]) -> NextRevision:
    """Measures the ways in turn. Before each, the newest revision is downgraded."""
    ways: list[Variant] = [BareAlembic(services[0].environment), *(Served(each) for each in services)]
    seconds_of: dict[str, list[float]] = {way.name: [] for way in ways}
    make_anew()
    services[0].migrate()
    for _ in range(rounds + 1):
        for way in ways:
            _downgrade_newest(services)
            begun = time.perf_counter()
            way.fresh()
            seconds_of[way.name].append(time.perf_counter() - begun)
    return NextRevision({name: seconds[1:] for name, seconds in seconds_of.items()})


def _downgrade_newest(services: Sequence[Service]) -> None:
    services[0].migrate(f"{REVISIONS - 1:04d}", "downgrade")
    for each in services:
        each.ask("/migrations")
    time.sleep(SETTLE_SECONDS)
