"""What most deployments bring: one more revision, for a database that has a history already."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.one_database.ground import REST_SECONDS
from bench.one_database.serving import Service
from bench.one_database.ways import BARE, BareAlembic, Served
from bench.rounds import Variant

REVISIONS = 20


@dataclass(frozen=True)
class NextRevision:
    """Seconds of every round by way; the first round has warmed up and is not in it."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median_seconds(self, way: str) -> float:
        return median(self.seconds[way])

    def ratio(self, way: str) -> float:
        """How many times as long bare Alembic takes."""
        return self.median_seconds(BARE) / self.median_seconds(way)


def next_revision(services: Sequence[Service], rounds: int, make_anew: Callable[[], None]) -> NextRevision:
    """The ways take turns; before each, the newest of the revisions is taken back."""
    ways: list[Variant] = [BareAlembic(services[0].environment), *(Served(each) for each in services)]
    taken: dict[str, list[float]] = {way.name: [] for way in ways}
    make_anew()
    services[0].migrate()
    for _ in range(rounds + 1):
        for way in ways:
            _take_the_newest_back(services)
            begun = time.perf_counter()
            way.fresh()
            taken[way.name].append(time.perf_counter() - begun)
    return NextRevision({name: seconds[1:] for name, seconds in taken.items()})


def _take_the_newest_back(services: Sequence[Service]) -> None:
    services[0].migrate(f"{REVISIONS - 1:04d}", "downgrade")
    for each in services:
        each.ask("/migrations")
    time.sleep(REST_SECONDS)
