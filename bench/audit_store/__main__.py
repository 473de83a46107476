"""`bench/audit`: measures appending, killed writers, verifying, and queries over a million events."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import psycopg
from rich.console import Console

from audit_verifier.verify import Broken
from bench.audit_store import history, questions, writers
from bench.audit_store.ground import Ground, prepared_ground
from bench.audit_store.report import Measured, document, show
from bench.conduct import folder_for, positive, progress_printer, stop_everything_when_ended
from bench.ground import Say
from bench.processes import CommandFailed
from migration_sidecar.contract.errors import ProblemError
from scripts.infrastructure.errors import InfrastructureError

BATCHES, WRITERS = (1, 10), (1, 8, 64)


def main() -> int:
    """The command line. Returns the exit code."""
    arguments = parser().parse_args()
    say, before = progress_printer(), os.getloadavg()
    stop_everything_when_ended()
    try:
        with folder_for(arguments.state, "bench-audit-") as state, prepared_ground(state) as ground:
            measured = _measure(ground, arguments, say)
    except (InfrastructureError, CommandFailed, ProblemError, Broken, psycopg.Error) as error:
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
    """The options of bench/audit."""
    taken = argparse.ArgumentParser(prog="bench/audit", description="Measures the audit store; asserts nothing.")
    taken.add_argument("--events", type=positive, default=1_000_000, metavar="N", help="to ask of (1000000)")
    taken.add_argument("--seconds", type=positive, default=5, metavar="N", help="for each way to append (5)")
    taken.add_argument("--each", type=positive, default=1000, metavar="N", help="events of each of 64 writers (1000)")
    taken.add_argument("--json", type=Path, metavar="FILE", help="also write all that was measured there")
    taken.add_argument("--state", type=Path, metavar="FOLDER", help="keep data and logs there (a new one otherwise)")
    return taken


def _measure(ground: Ground, arguments: argparse.Namespace, say: Say) -> Measured:
    ground.make_audit_anew()
    speeds = []
    for batch in BATCHES:
        for count in WRITERS:
            say(f"{count} writers in batches of {batch}")
            speeds.append(writers.speed(ground.url, batch, count, arguments.seconds))
    ground.make_audit_anew()
    say(f"64 writers of {arguments.each} events each, half of them killed half way")
    killed = writers.kill_half_way(ground.url, 64, arguments.each)
    ground.make_audit_anew()
    say(f"telling {arguments.events} events")
    appended_per_second = history.insert_history(ground.url, arguments.events, say)
    say("verifying")
    verified = asyncio.run(questions.verify(ground.url))
    say("asking")
    views = questions.ask_views(ground.url)
    pages = asyncio.run(questions.ask_pages(ground.url, arguments.events))
    return Measured(speeds, killed, arguments.events, appended_per_second, verified, views, pages)


if __name__ == "__main__":
    sys.exit(main())
