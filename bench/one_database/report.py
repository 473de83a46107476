"""The measurements as tables for people, and as a JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.one_database import findings
from bench.one_database.environments import Style
from bench.one_database.findings import Measured
from bench.one_database.next_revision import REVISIONS, NextRevision
from bench.report import Load, budget_table, loads, machine, named_table
from bench.rounds import AT_HEAD, FRESH


def document(measured: Measured, before: Load, after: Load) -> dict[str, Any]:
    """The content of the JSON file."""
    return {
        "machine": machine(before, after),
        "medians": [
            asdict(line) for count, samples in measured.samples.items() for line in findings.lines(count, samples)
        ],
        "next_revision": asdict(measured.next_revision) if measured.next_revision else None,
        "budgets": [asdict(budget) for budget in findings.budgets(measured)],
        "reading_milliseconds": {what: list(values) for what, values in measured.reading_milliseconds.items()},
        "health_milliseconds": list(measured.health_milliseconds),
        "memory": asdict(measured.memory) if measured.memory else None,
        "samples": {count: [asdict(sample) for sample in samples] for count, samples in measured.samples.items()},
    }


def show(console: Console, measured: Measured, before: Load, after: Load) -> None:
    """Prints the tables."""
    for count in measured.samples:
        console.print(_ways(measured, count))
    if measured.samples:
        console.print(_parts(measured))
    if measured.next_revision:
        console.print(_next_revision(measured.next_revision))
    console.print(budget_table(findings.budgets(measured)))
    console.print(f"{loads(before, after)}.")


def _ways(measured: Measured, count: int) -> Table:
    columns = ("way", "database", "median", "least", "most", "faster than alembic", "on top of the SQL")
    table = named_table(f"{count} revision{'' if count == 1 else 's'}", *columns)
    for line in findings.lines(count, measured.samples[count]):
        seconds = (f"{value * 1000:.0f} ms" for value in (line.median_seconds, line.least_seconds, line.most_seconds))
        on_top = f"{line.on_top_of_sql_seconds * 1000:.0f} ms"
        table.add_row(line.way, line.situation, *seconds, f"{line.ratio:.1f} x", on_top)
    return table


def _next_revision(measured: NextRevision) -> Table:
    table = named_table(f"One more revision after {REVISIONS - 1}", "way", "median", "faster than alembic")
    for way in measured.seconds:
        table.add_row(way, f"{measured.median_seconds(way) * 1000:.0f} ms", f"{measured.ratio(way):.1f} x")
    return table


def _parts(measured: Measured) -> Table:
    columns = ("revisions, env.py", "database", "plan", "order until its end", "of it reported")
    table = named_table("Through serve: where the time goes (medians)", *columns)
    for count, samples in measured.samples.items():
        for style in Style:
            for situation in (FRESH, AT_HEAD):
                parts = findings.parts(samples, style, situation)
                milliseconds = (f"{parts[name] * 1000:.0f} ms" for name in ("plan", "operation", "reported"))
                table.add_row(f"{count}, {style}", situation, *milliseconds)
    return table
