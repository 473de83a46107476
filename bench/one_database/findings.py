"""Computes medians, ratios and budgets from the measurements on one database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.findings import Budget, percentile, seconds_of
from bench.one_database.environments import Style
from bench.one_database.memory import Memory
from bench.one_database.next_revision import NextRevision
from bench.one_database.ways import BARE, SQL, served
from bench.rounds import AT_HEAD, FRESH, Sample

SMALL = 5  # revisions: at most so many in most deployments


@dataclass(frozen=True)
class Measured:
    """All measurements of bench/engine. `samples` is by number of revisions; what was not measured is empty or None."""

    samples: Mapping[int, Sequence[Sample]] = field(default_factory=dict)
    reading_milliseconds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    next_revision: NextRevision | None = None
    health_milliseconds: Sequence[float] = ()
    health_seconds: int = 0
    memory: Memory | None = None


@dataclass(frozen=True)
class Line:
    """One way in one situation. `ratio` is the time of bare Alembic divided by its time."""

    revisions: int
    situation: str
    way: str
    median_seconds: float
    least_seconds: float
    most_seconds: float
    ratio: float
    on_top_of_sql_seconds: float


def lines(revisions: int, samples: Sequence[Sample]) -> list[Line]:
    """One line for each way and situation."""
    return [
        _line(revisions, situation, way, samples)
        for situation in (FRESH, AT_HEAD)
        for way in dict.fromkeys(sample.variant for sample in samples)
    ]


def _line(revisions: int, situation: str, way: str, samples: Sequence[Sample]) -> Line:
    seconds = seconds_of(samples, way, situation)
    middle, bare = median(seconds), median(seconds_of(samples, BARE, situation))
    on_top = middle - sql_seconds(samples, situation)
    return Line(revisions, situation, way, middle, min(seconds), max(seconds), bare / middle, on_top)


def sql_seconds(samples: Sequence[Sample], situation: str) -> float:
    """The time of the SQL alone: psql's time, minus that of a psql that only starts and connects."""
    return median(seconds_of(samples, SQL, situation)) - median(seconds_of(samples, SQL, AT_HEAD))


def parts(samples: Sequence[Sample], style: Style, situation: str) -> dict[str, float]:
    """Median seconds that a coordinator waits for each answer, and of the operation as the service reports it."""
    matching = [each.parts for each in samples if (each.variant, each.situation) == (served(style), situation)]
    return {name: median(each[name] for each in matching) for name in matching[0]}


def budgets(measured: Measured) -> list[Budget]:
    """Each budget that was measured."""
    return [
        *(budget for style in Style for budget in _speed(measured.samples, style)),
        *_next(measured.next_revision),
        *_reading(measured.reading_milliseconds),
        *_health(measured.health_milliseconds, measured.health_seconds),
        *_memory(measured.memory),
    ]


def _speed(samples: Mapping[int, Sequence[Sample]], style: Style) -> list[Budget]:
    matching = [line for count in samples for line in lines(count, samples[count]) if line.way == served(style)]
    no_op = [line for line in matching if line.situation == AT_HEAD]
    small = [line for line in matching if line.situation == FRESH and line.revisions <= SMALL]
    budgets = []
    if no_op:
        slowest = max(line.median_seconds for line in no_op) * 1000
        budgets.append(_at_most(f"no-op, {style}", slowest, 30, "ms"))
    if small:
        on_top = max(line.on_top_of_sql_seconds for line in small) * 1000
        budgets.append(_at_most(f"{small[-1].revisions} revisions on top of their SQL, {style}", on_top, 150, "ms"))
    if matching:
        ratio = min(line.ratio for line in (*no_op, *small))
        what = f"bare alembic against serve, at head and small fresh, {style}"
        budgets.append(Budget(what, "≥ 10 x", f"{ratio:.1f} x", ratio >= 10))
    return budgets


def _next(measured: NextRevision | None) -> list[Budget]:
    if measured is None:
        return []
    ratios = {style: measured.ratio(served(style)) for style in Style}
    return [
        Budget(f"bare alembic against serve, one more revision, {style}", "≥ 10 x", f"{ratio:.1f} x", ratio >= 10)
        for style, ratio in ratios.items()
    ]


def _reading(milliseconds: Mapping[str, Sequence[float]]) -> list[Budget]:
    return [_at_most(f"{what}, median", median(values), 20, "ms") for what, values in milliseconds.items()]


def _health(milliseconds: Sequence[float], seconds: int) -> list[Budget]:
    if not milliseconds:
        return []
    what = f"live health during a migration of {seconds} s: the slowest of {len(milliseconds)} (p99"
    return [_at_most(f"{what} {percentile(milliseconds, 99):.0f} ms)", max(milliseconds), 100, "ms")]


def _memory(memory: Memory | None) -> list[Budget]:
    if memory is None:
        return []
    grown = {part: memory.growth(part) * 100 for part in memory.before}
    what = f"growth over {memory.operations} operations"
    return [Budget(f"{what}: {part}", "< 20 %", f"{growth:.1f} %", growth < 20) for part, growth in grown.items()]


def _at_most(what: str, value: float, bound: float, unit: str) -> Budget:
    return Budget(what, f"≤ {bound:.0f} {unit}", f"{value:.0f} {unit}", value <= bound)
