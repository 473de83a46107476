"""Carries the runs of a campaign out one after the other, on fleets that are started anew now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.fleet.ground import standing_campaign
from tests.campaign.fleet.runs import Outcome, carry_out
from tests.campaign.fleet.spec import FleetSpec, draw

RUNS_OF_A_FLEET = 40
MOST_BROKEN_FLEETS = 4  # one after the other: then it is the machine, and no finding


@dataclass
class Quota:
    """So many hit runs of one part; a run whose fault came too late is made up for."""

    part: str
    wanted: int
    seed: int
    number: int = 0
    hits: int = 0

    def specs(self) -> Iterator[FleetSpec]:
        while self.hits < self.wanted and self.number < 2 * self.wanted + 10:
            self.number += 1
            yield draw(self.part, self.number, self.seed)

    def count(self, outcome: Outcome) -> None:
        """Also of one that an earlier session had made."""
        self.number = max(self.number, outcome.number)
        self.hits += outcome.hit


def conduct(
    quotas: list[Quota], subject: Path, folder: Path, told: Callable[[Outcome], None], seconds: float = float("inf")
) -> None:
    """No run begins after `seconds`. Databases are new after a violation, and the fleet where it failed itself."""
    specs, until, broken, number = _in_turn(quotas), time.monotonic() + seconds, 0, 0
    by_part = {quota.part: quota for quota in quotas}
    spec = next(specs, None)
    while spec is not None and time.monotonic() < until:
        number += 1
        made = 0
        try:
            with standing_campaign(folder / f"fleet-{number}", subject, replica=True) as campaign:
                while spec is not None and made < RUNS_OF_A_FLEET and time.monotonic() < until:
                    outcome = carry_out(spec, campaign)
                    made += 1
                    by_part[outcome.part].count(outcome)
                    told(outcome)
                    spec = next(specs, None)
                    if outcome.own_troubles:
                        break
                    if outcome.violations:
                        campaign.begin_anew()
            broken = 0
        except InfrastructureError as error:
            broken += 1
            print(f"the fleet failed: {error}", flush=True)
            if broken >= MOST_BROKEN_FLEETS:
                raise


def _in_turn(quotas: list[Quota]) -> Iterator[FleetSpec]:
    """A run of each part in turn, so that a campaign that is ended early has some of each."""
    streams = [quota.specs() for quota in quotas]
    while streams:
        for stream in list(streams):
            spec = next(stream, None)
            if spec is None:
                streams.remove(stream)
            else:
                yield spec
