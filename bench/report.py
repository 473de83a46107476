"""The measurements as tables for people, and as a JSON document."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench import findings
from bench.findings import Budget
from bench.rounds import AT_HEAD, FRESH, Sample

Load = tuple[float, float, float]


@dataclass(frozen=True)
class Measured:
    """All measurements of bench/fleet."""

    samples: Sequence[Sample]
    door_milliseconds: Sequence[float]
    load_before: Load
    load_after: Load


def document(measured: Measured) -> dict[str, Any]:
    """The content of the JSON file."""
    return {
        "machine": machine(measured.load_before, measured.load_after),
        "medians": [asdict(line) for line in findings.lines(measured.samples)],
        "parts_of_an_event_seconds": {where: findings.parts(measured.samples, where) for where in (FRESH, AT_HEAD)},
        "budgets": [asdict(budget) for budget in findings.budgets(measured.samples, measured.door_milliseconds)],
        "door_milliseconds": list(measured.door_milliseconds),
        "samples": [asdict(sample) for sample in measured.samples],
    }


def show(console: Console, measured: Measured) -> None:
    """Prints the tables."""
    budgets = findings.budgets(measured.samples, measured.door_milliseconds)
    console.print(_medians(measured.samples), _parts(measured.samples), budget_table(budgets))
    console.print(f"{loads(measured.load_before, measured.load_after)}; the fleet was running throughout.")


def machine(before: Load, after: Load) -> dict[str, Any]:
    """The machine, with its load before and after."""
    return {
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": before,
        "load_after": after,
    }


def loads(before: Load, after: Load) -> str:
    """The load of the machine, as a sentence."""
    return f"{os.cpu_count()} processors; load (1 min) {before[0]:.2f} before, {after[0]:.2f} after"


def named_table(title: str, *columns: str) -> Table:
    """A table with a title; all columns but the first are right-aligned."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _medians(samples: Sequence[Sample]) -> Table:
    table = named_table("Nine databases to head", "way", "databases", "median", "least", "most", "against one event")
    for line in findings.lines(samples):
        seconds = (f"{value:.3f} s" for value in (line.median_seconds, line.least_seconds, line.most_seconds))
        table.add_row(line.variant, line.situation, *seconds, f"{line.ratio:.1f} x")
    return table


def _parts(samples: Sequence[Sample]) -> Table:
    table = named_table("Where the time of one event goes (medians)", "part", FRESH, AT_HEAD)
    fresh, at_head = (findings.parts(samples, situation) for situation in (FRESH, AT_HEAD))
    explained = {
        "door": "door: published → accepted",
        "plan": "plan: accepted → started",
        "operations": "operations: as the services report them",
        "own": "own: the rest of the run",
        "record": "record: finished → state and audit recorded",
        "own per step": "own, per step",
    }
    for name, words in explained.items():
        table.add_row(words, *(f"{each[name] * 1000:.0f} ms" for each in (fresh, at_head)))
    return table


def budget_table(budgets: Sequence[Budget]) -> Table:
    """The table of budgets."""
    table = named_table("Against the budgets", "what", "budget", "measured", "")
    for budget in budgets:
        verdict = "[green]kept[/]" if budget.kept else "[yellow]not kept[/]"
        table.add_row(budget.what, budget.budget, budget.measured, verdict)
    return table
