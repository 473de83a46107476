"""Takes turns: every variant in every round, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bench.ground import Say

FRESH, AT_HEAD = "fresh", "at head"


Way = TypeVar("Way")


class Variant(Protocol):
    @property
    def name(self) -> str: ...

    def fresh(self) -> None: ...

    def at_head(self) -> None: ...


class Ground(Protocol):
    """What the variants run on, made anew before each."""

    def make_databases_anew(self) -> None: ...

    def heads(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Sample:
    """One variant once; round 0 warms up and does not count."""

    round: int
    variant: str
    situation: str
    seconds: float
    parts: dict[str, float] = field(default_factory=dict)


class NotAtHead(Exception):
    """Variants that end at different revisions cannot be compared."""


def take_turns(ground: Ground, variants: Sequence[Variant], rounds: int, say: Say) -> list[Sample]:
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
    """Each starts a round once, so that none always runs on a machine the same other one has just heated."""
    return [*variants[by % len(variants) :], *variants[: by % len(variants)]]
