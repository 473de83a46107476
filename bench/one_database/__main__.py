"""`bench/engine`: measures each way to migrate one database in turn; then health and memory of the service."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
from rich.console import Console

from bench.conduct import folder_for, positive, progress_printer, stop_everything_when_ended
from bench.ground import Say
from bench.one_database.environments import Style, make_environment, tables
from bench.one_database.findings import Measured
from bench.one_database.ground import Ground, prepared_ground
from bench.one_database.health import health_milliseconds
from bench.one_database.memory import memory_after
from bench.one_database.next_revision import REVISIONS, next_revision
from bench.one_database.report import document, show
from bench.one_database.serving import OperationWentWrong, serving
from bench.one_database.ways import BareAlembic, Cold, Psql, Served, rendered
from bench.processes import CommandFailed
from bench.rounds import NotAtHead, Sample, Variant, take_turns
from scripts.infrastructure.errors import InfrastructureError

READING_CALLS = 40


def main() -> int:
    """The command line. Returns the exit code."""
    arguments = parser().parse_args()
    say, before = progress_printer(), os.getloadavg()
    stop_everything_when_ended()
    try:
        with folder_for(arguments.state, "bench-engine-") as state, prepared_ground(state) as ground:
            measured = _measure(ground, state, arguments, say)
    except (InfrastructureError, CommandFailed, OperationWentWrong, NotAtHead, httpx.HTTPError) as error:
        print(f"The bench could not be run to its end: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    after = os.getloadavg()
    show(Console(width=None if sys.stdout.isatty() else 140), measured, before, after)
    if arguments.json:
        arguments.json.write_text(json.dumps(document(measured, before, after), indent=2) + "\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of bench/engine."""
    taken = argparse.ArgumentParser(
        prog="bench/engine", description="Measures ways to migrate one database; asserts nothing."
    )
    taken.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="how many count, after one to warm up (5; 0 leaves it out)"
    )
    taken.add_argument(
        "--revisions", type=_counts, default="1,5,50,160", metavar="N,N", help="lengths of the history (1,5,50,160)"
    )
    taken.add_argument(
        "--health",
        type=positive,
        nargs="?",
        const=120,
        metavar="SECONDS",
        help="ask for health while a migration of so many seconds runs (120)",
    )
    taken.add_argument(
        "--memory",
        type=positive,
        nargs="?",
        const=100,
        metavar="OPERATIONS",
        help="weigh the service before and after so many operations (100)",
    )
    taken.add_argument("--json", type=Path, metavar="FILE", help="also write every sample and the medians there")
    taken.add_argument("--state", type=Path, metavar="FOLDER", help="keep data and logs there (a new one otherwise)")
    return taken


def _counts(text: str) -> list[int]:
    return sorted({positive(word) for word in text.split(",")})


def _measure(ground: Ground, state: Path, arguments: argparse.Namespace, say: Say) -> Measured:
    measured = Measured()
    for count in arguments.revisions if arguments.rounds > 0 else ():
        measured = _with_speed(measured, ground, state / str(count), count, arguments.rounds, say)
    if arguments.rounds > 0:
        measured = _with_next_revision(measured, ground, state / "next", arguments.rounds, say)
    if arguments.health:
        say(f"asking for health while a migration of {arguments.health} s runs")
        answers = health_milliseconds(ground, state / "health", arguments.health)
        measured = replace(measured, health_milliseconds=answers, health_seconds=arguments.health)
    if arguments.memory:
        say(f"weighing the service before and after {arguments.memory} operations")
        measured = replace(measured, memory=memory_after(ground, state / "memory", arguments.memory))
    return measured


def _with_speed(measured: Measured, ground: Ground, folder: Path, count: int, rounds: int, say: Say) -> Measured:
    """Adds one length of history. Reading is measured with the last, longest one."""
    say(f"{count} revisions")
    with ExitStack() as stack:
        environments = [make_environment(folder / style.name, ground.url, style, tables(count)) for style in Style]
        services = [stack.enter_context(serving(each, folder)) for each in environments]
        served = replace(ground, services=services)
        generic = environments[0]
        ways: list[Variant] = [
            BareAlembic(generic),
            *(Cold(each) for each in environments),
            *(Served(each) for each in services),
            Psql(ground, rendered(generic)),
        ]
        samples: Sequence[Sample] = take_turns(served, ways, rounds, say)
        served.make_databases_anew()
        reading = {
            f"{what} of {count} revisions, all pending, from cache": services[0].milliseconds_of(path, READING_CALLS)
            for what, path in (("status", "/migrations"), ("plan", "/migrations/plan"))
        }
    return replace(measured, samples={**measured.samples, count: samples}, reading_milliseconds=reading)


def _with_next_revision(measured: Measured, ground: Ground, folder: Path, rounds: int, say: Say) -> Measured:
    say(f"one more revision after {REVISIONS - 1}")
    with ExitStack() as stack:
        environments = [make_environment(folder / style.name, ground.url, style, tables(REVISIONS)) for style in Style]
        services = [stack.enter_context(serving(each, folder)) for each in environments]
        served = replace(ground, services=services)
        return replace(measured, next_revision=next_revision(services, rounds, served.make_databases_anew))


if __name__ == "__main__":
    sys.exit(main())
