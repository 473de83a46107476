"""`bench/fleet`: starts a fleet, measures each way to migrate it in turn, and prints a report."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console

from bench.conduct import folder_for, positive, progress_printer, stop_everything_when_ended
from bench.event import Event, RunWentWrong
from bench.ground import Ground, Say, prepared_ground
from bench.plain_alembic import make_plain_folder
from bench.processes import CommandFailed, OurAlembic, PlainAlembic, Psql
from bench.report import Measured, document, show
from bench.rounds import NotAtHead, take_turns
from scripts.infrastructure.errors import InfrastructureError


def main() -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench/fleet", description="Measures ways to migrate the fleet; asserts nothing."
    )
    parser.add_argument(
        "--rounds", type=positive, default=5, metavar="N", help="how many count, after one to warm up (5)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample and the medians there")
    parser.add_argument(
        "--state", type=Path, metavar="FOLDER", help="keep data and logs there (a new folder otherwise)"
    )
    arguments = parser.parse_args()
    say = progress_printer()
    stop_everything_when_ended()
    try:
        with folder_for(arguments.state, "bench-fleet-") as state:
            measured = _measure(state, arguments.rounds, say)
    except (InfrastructureError, CommandFailed, RunWentWrong, NotAtHead, httpx.HTTPError) as error:
        print(f"The bench could not be run to its end: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    show(Console(width=None if sys.stdout.isatty() else 120), measured)
    if arguments.json:
        arguments.json.write_text(json.dumps(document(measured), indent=2) + "\n")
    return 0


def _measure(state: Path, rounds: int, say: Say) -> Measured:
    with (
        prepared_ground(state, say) as ground,
        httpx.Client(timeout=30, trust_env=False) as http,
        tempfile.TemporaryDirectory(prefix="plain-", dir=state) as plain,
    ):
        return _measure_rounds(ground, http, Path(plain), rounds, say)


def _measure_rounds(ground: Ground, http: httpx.Client, plain: Path, rounds: int, say: Say) -> Measured:
    folders = [make_plain_folder(member, ground.url_of(member), plain) for member in ground.members]
    psql, event = Psql(ground, folders), Event(ground, http)
    psql.prepare()
    before = os.getloadavg()
    samples = take_turns(ground, [PlainAlembic(folders), OurAlembic(ground), psql, event], rounds, say)
    door = event.door_milliseconds(calls=40)
    return Measured(samples, door, before, os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
