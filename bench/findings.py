"""Computes medians, ratios and budgets from the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.rounds import AT_HEAD, FRESH, Sample

BASELINE = "alembic, env.py of alembic init"
OURS = "one event to the coordinator"


@dataclass(frozen=True)
class Line:
    """One variant in one situation. `ratio` is its time divided by the time of one event."""

    variant: str
    situation: str
    median_seconds: float
    least_seconds: float
    most_seconds: float
    ratio: float


@dataclass(frozen=True)
class Budget:
    """A limit, and what was measured against it. `kept` is whether the limit was met."""

    what: str
    budget: str
    measured: str
    kept: bool


def lines(samples: Sequence[Sample]) -> list[Line]:
    """One line for each variant and situation, the slowest first."""
    rows = []
    for situation in (FRESH, AT_HEAD):
        ours = median(seconds_of(samples, OURS, situation))
        for variant in dict.fromkeys(sample.variant for sample in samples):
            seconds = seconds_of(samples, variant, situation)
            middle = median(seconds)
            rows.append(Line(variant, situation, middle, min(seconds), max(seconds), middle / ours))
    return sorted(rows, key=lambda line: (line.situation != FRESH, -line.median_seconds))


def parts(samples: Sequence[Sample], situation: str) -> dict[str, float]:
    """Median seconds of each part of an event."""
    ours = [sample.parts for sample in samples if sample.variant == OURS and sample.situation == situation]
    return {name: median(each[name] for each in ours) for name in ours[0]}


def budgets(samples: Sequence[Sample], door_milliseconds: Sequence[float]) -> list[Budget]:
    """Each budget, with what was measured against it."""
    ratios = {line.situation: line.ratio for line in lines(samples) if line.variant == BASELINE}
    per_step = parts(samples, FRESH)["own per step"] * 1000
    door = percentile(door_milliseconds, 95)
    return [
        Budget(
            "event → run recorded, fresh, against nine alembic", "≥ 15 x", f"{ratios[FRESH]:.1f} x", ratios[FRESH] >= 15
        ),
        Budget("the same at head", "≥ 25 x", f"{ratios[AT_HEAD]:.1f} x", ratios[AT_HEAD] >= 25),
        Budget("coordinator's own cost per step", "≤ 40 ms", f"{per_step:.0f} ms", per_step <= 40),
        Budget("door: accepted and answered, p95", "≤ 50 ms", f"{door:.0f} ms", door <= 50),
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value such that at least `percent` % of the values are not greater."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def seconds_of(samples: Sequence[Sample], variant: str, situation: str) -> list[float]:
    """The seconds of one variant in one situation."""
    return [sample.seconds for sample in samples if (sample.variant, sample.situation) == (variant, situation)]
