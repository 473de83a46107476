"""Which runs a campaign is made of; the seed decides each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random

from migration_sidecar.protocol.failpoint_spec import NAMES
from tests.campaign.checker import LOCK_LOST
from tests.campaign.corpus import EACH, FORMS
from tests.campaign.nemeses import NEMESES
from tests.campaign.outcome import Outcome, Spec

TABLE_IN_USE = "table in use"
ACTIONS = ("kill", "stop", "drop", "raise")
PARTS = ("A", "B", "C", "D", "E")


@dataclass
class Quota:
    """So many runs of one kind that must be hit; a run whose fault came too late is made up for."""

    name: str
    wanted: int
    draw: Callable[[int, Random], Spec]
    seed: int
    number: int = 0
    hits: int = 0
    in_flight: int = 0

    @property
    def most(self) -> int:
        return 2 * self.wanted + 10

    def specs(self) -> Iterator[Spec]:
        """The next ones, for as long as hits are missing."""
        while self.hits + self.in_flight < self.wanted and self.number < self.most:
            self.number += 1
            self.in_flight += 1
            random = Random(f"{self.seed}/{self.name}/{self.number}")
            drawn = self.draw(self.number, random)
            yield replace(drawn, quota=self.name, number=self.number, seed=random.getrandbits(32))

    def came_back(self, outcome: Outcome) -> None:
        self.in_flight -= 1
        self.hits += outcome.hit  # one that is not judged is none

    def remember(self, outcome: Outcome) -> None:
        """One that an earlier session of this campaign had made."""
        self.number = max(self.number, outcome.spec["number"])
        self.hits += outcome.hit


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    runs: int = 200  # hit kills, nemesis mixes and races, of each so many
    each: int = 5  # hits of every failpoint with every action
    parts: tuple[str, ...] = PARTS
    actions: tuple[str, ...] = ACTIONS
    nemeses: tuple[str, ...] = field(default_factory=lambda: tuple(NEMESES))


def quotas(size: Size, seed: int) -> list[Quota]:
    found = []
    if "A" in size.parts:
        found.append(Quota("A", size.runs, lambda _, random: Spec("A", form=random.choice(FORMS)), seed))
    if "B" in size.parts:
        cells = [(name, action) for name in NAMES for action in size.actions]
        found += [Quota(f"B {name} {action}", size.each, _cell(name, action), seed) for name, action in cells]
        lost = Spec("B", nemeses=(LOCK_LOST,))
        found.append(
            Quota(f"B {LOCK_LOST}", size.each, lambda _, random: replace(lost, form=random.choice(FORMS)), seed)
        )
    if "C" in size.parts:
        found.append(Quota("C", size.runs, _mix(size.nemeses, seed), seed))
    if "D" in size.parts:
        found.append(Quota("D", size.runs, lambda _, random: Spec("D", form=random.choice(FORMS)), seed))
    if "E" in size.parts:
        found.append(Quota("E", 1, lambda *_: Spec("E"), seed))
    return found


def _cell(name: str, action: str) -> Callable[[int, Random], Spec]:
    forms = (EACH,) if name.startswith("autocommit_") else FORMS
    return lambda _, random: Spec("B", failpoint=name, action=action, form=random.choice(forms))


def pairs(nemeses: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every two of them."""
    return list(combinations(sorted(nemeses), 2))


def _mix(nemeses: tuple[str, ...], seed: int) -> Callable[[int, Random], Spec]:
    """Two at once: every pair in turn, in an order that the seed decides."""
    order = pairs(nemeses)
    Random(seed).shuffle(order)

    def draw(number: int, random: Random) -> Spec:
        pair, drawn = order[(number - 1) % len(order)], random.choice(FORMS)
        # Its table is seen by others only when the revision that makes it is committed.
        return Spec("C", nemeses=pair, form=EACH if TABLE_IN_USE in pair else drawn)

    return draw
