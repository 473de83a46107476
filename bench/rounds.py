"""Runs every variant in every round, so that a slow phase of the machine affects all variants."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bench.ground import Say

FRESH, AT_HEAD = "fresh", "at head"


Way = TypeVar("Way")


class Variant(Protocol):
    """A way to migrate that is measured."""

    @property
    def name(self) -> str:
        """Its name in the tables."""

    def fresh(self) -> None:
        """Migrates empty databases."""

    def at_head(self) -> None:
        """Migrates databases that are at head already."""


class Ground(Protocol):
    """What the variants migrate."""

    def make_databases_anew(self) -> None:
        """Called before each variant."""

    def heads(self) -> dict[str, str]:
        """The revision of each database."""


@dataclass(frozen=True)
class Sample:
    """One measurement. Round 0 is for warming up and is not counted."""

    round: int
    variant: str
    situation: str
    seconds: float
    parts: dict[str, float] = field(default_factory=dict)


class NotAtHead(Exception):
    """The variants reached different revisions, so they cannot be compared."""


def take_turns(ground: Ground, variants: Sequence[Variant], rounds: int, say: Say) -> list[Sample]:
    """The samples of all rounds but the first, which warms up. Raises NotAtHead."""
    samples: list[Sample] = []
    heads: dict[str, str] = {}
    for number in range(rounds + 1):
        for variant in rotated(variants, number):
            ground.make_databases_anew()
            for situation, act in ((FRESH, variant.fresh), (AT_HEAD, variant.at_head)):
                begun = time.perf_counter()
                act()
                seconds = time.perf_counter() - begun
                samples.append(Sample(number, variant.name, situation, seconds, dict(getattr(variant, "parts", {}))))
                turn = f"round {number} of {rounds}" if number else "warming up "
                say(f"{turn}  {variant.name:<34} {situation:<8} {seconds:7.3f} s")
            heads = heads or ground.heads()
            if ground.heads() != heads or not all(heads.values()):
                raise NotAtHead(f"{variant.name} left the databases at {ground.heads()}, others at {heads}")
    return [sample for sample in samples if sample.round]


def rotated(variants: Sequence[Way], by: int) -> list[Way]:
    """Each variant starts a round once, so that none always follows the same other one."""
    return [*variants[by % len(variants) :], *variants[: by % len(variants)]]
