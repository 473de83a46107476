"""The measurements as tables for people, and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from bench.audit_store.questions import Answer
from bench.audit_store.writers import Killed, Speed
from bench.findings import Budget
from bench.report import Load, budget_table, loads, machine, named_table

APPENDS_PER_SECOND = 1500
APPEND_P95_MILLISECONDS = 20
VERIFIED_PER_SECOND = 100_000
ANSWER_MILLISECONDS = 200

HOW = """
Appending: each process calls audit.append_events over its own connection, and sends the next batch when the last one
is on the disk. The events for the queries are appended by the same function, in batches of 1 000, without waiting for
the disk. Verifying: the service's own check, in ranges of 20 000 events. Views: as cas_reader in SQL, all rows. Pages:
the service's own function, without HTTP. Times are the median of five."""


@dataclass(frozen=True)
class Measured:
    """All measurements of bench/audit."""

    speeds: Sequence[Speed]
    killed: Killed
    events: int
    told_per_second: float
    verified_per_second: float
    views: Sequence[Answer]
    pages: Sequence[Answer]


def budgets(measured: Measured) -> list[Budget]:
    """Each budget, with what was measured against it."""
    in_tens = next(each for each in measured.speeds if (each.batch, each.writers) == (10, 64))
    alone = next(each for each in measured.speeds if (each.batch, each.writers) == (1, 8))
    killed = measured.killed
    results = [
        Budget(
            "64 writers in batches of 10",
            f"≥ {APPENDS_PER_SECOND} events/s",
            f"{in_tens.events_per_second:.0f} events/s",
            in_tens.events_per_second >= APPENDS_PER_SECOND,
        ),
        Budget(
            "one append, 8 writers, p95",
            f"< {APPEND_P95_MILLISECONDS} ms",
            f"{alone.p95_milliseconds:.1f} ms",
            alone.p95_milliseconds < APPEND_P95_MILLISECONDS,
        ),
        Budget(
            f"{killed.writers} writers, {killed.killed} killed at work",
            "one chain, no gap, nothing answered lost",
            f"{killed.stored} events, {killed.broken} broken",
            killed.whole,
        ),
        Budget(
            "verifying",
            f"≥ {VERIFIED_PER_SECOND} events/s",
            f"{measured.verified_per_second:.0f} events/s",
            measured.verified_per_second >= VERIFIED_PER_SECOND,
        ),
    ]
    for what, answers in (("slowest view", measured.views), ("slowest page", measured.pages)):
        slowest = max(answers, key=lambda each: each.median_milliseconds)
        took = slowest.median_milliseconds
        results.append(
            Budget(
                f"{what} of {measured.events} events: {slowest.what}",
                f"< {ANSWER_MILLISECONDS} ms",
                f"{took:.0f} ms",
                took < ANSWER_MILLISECONDS,
            )
        )
    return results


def document(measured: Measured, before: Load, after: Load) -> dict[str, Any]:
    """The content of the JSON file. The loads are those of the machine before and after."""
    return {
        "machine": machine(before, after),
        "budgets": [asdict(budget) for budget in budgets(measured)],
        **asdict(measured),
    }


def show(console: Console, measured: Measured, before: Load, after: Load) -> None:
    """Prints the tables."""
    appending = named_table("Appending", "events in a batch", "writers", "events/s", "p50", "p95")
    for each in measured.speeds:
        milliseconds = (f"{value:.1f} ms" for value in (each.p50_milliseconds, each.p95_milliseconds))
        appending.add_row(str(each.batch), str(each.writers), f"{each.events_per_second:.0f}", *milliseconds)
    console.print(appending)
    for title, answers in (("Views", measured.views), ("GET /audit/events", measured.pages)):
        table = named_table(f"{title} at {measured.events} events", "question", "rows", "median", "most")
        for answer in answers:
            milliseconds = (f"{value:.1f} ms" for value in (answer.median_milliseconds, answer.most_milliseconds))
            table.add_row(answer.what, str(answer.rows), *milliseconds)
        console.print(table)
    console.print(budget_table(budgets(measured)))
    console.print(f"{HOW} The events were appended at {measured.told_per_second:.0f} events/s.\n")
    console.print(f"{loads(before, after)}.")
