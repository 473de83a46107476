"""The command line behind scripts/infra."""

from __future__ import annotations

import argparse
import json
import sys

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import InfrastructureError, StillUsed
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.status import Status, status
from scripts.infrastructure.telling import say


def main() -> int:
    """The command line. Returns the exit code."""
    private.restrict_umask()
    parser = argparse.ArgumentParser(prog="scripts/infra", description="PostgreSQL, Redis and Dapr's control plane.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what does not run; healthy when it returns")
    down = commands.add_parser("down", help="stop what runs, unless a fleet uses it; data stays")
    down.add_argument("--yes", action="store_true", help="also under a running fleet")
    shown = commands.add_parser("status", help="what runs, where, and where its log is")
    shown.add_argument("--json", action="store_true")
    reset = commands.add_parser("reset", help="stop everything and delete the data of our own servers")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        return run(arguments, Infrastructure(Settings.from_environment(), say=say))
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3


def run(arguments: argparse.Namespace, infrastructure: Infrastructure) -> int:
    """Carries out one command of scripts/infra. Returns the exit code."""
    match arguments.command:
        case "up":
            private.keep_dapr_folder(ROOT)  # also for a `dapr run` by hand, under any umask
            infrastructure.up()
        case "down":
            if not arguments.yes:
                refuse_under_a_fleet(infrastructure, "To stop the servers in any case: ./scripts/infra down --yes")
            infrastructure.down()
        case "status":
            return show(status(infrastructure), as_json=arguments.json)
        case "reset":
            return reset_after_question(infrastructure, agreed=arguments.yes)
    return 0


def show(rows: list[Status], as_json: bool) -> int:
    """Prints one row for each server. Exit code 0 when all are healthy, 3 otherwise."""
    if as_json:
        print(json.dumps([vars(row) for row in rows], indent=2))
    else:
        for row in rows:
            print(
                f"{row.name:<11} {row.state:<10} {row.address:<22} {f'pid {row.pid}' if row.pid else '':<12} {row.log}"
            )
            if row.why:
                print(f"{'':<11} {row.why}")
    return 0 if all(row.state in ("healthy", "yours") for row in rows) else 3


def refuse_under_a_fleet(infrastructure: Infrastructure, anyway: str) -> None:
    """Raises StillUsed while a fleet runs on these servers. `anyway` is the last sentence of the message.

    A fleet of quickstart is found by its pid file; one that was started by hand is found by its sidecars.
    """
    launcher = Fleet(infrastructure.settings).program.process()
    users = [ports.describe(launcher.pid)] if launcher else infrastructure.control_plane.users()
    if users:
        raise StillUsed(users, anyway)


def reset_after_question(infrastructure: Infrastructure, agreed: bool) -> int:
    """Deletes all data of our own servers, after a question unless `agreed`. Returns the exit code."""
    refuse_under_a_fleet(infrastructure, "Nothing was deleted.")
    if not agreed:
        print(
            f"This deletes every database, event and run in {infrastructure.settings.state}. Type yes to go on: ",
            end="",
        )
        agreed = sys.stdin.readline().strip() == "yes"
    if not agreed:
        print("Nothing was deleted.")
        return 2
    infrastructure.reset()
    return 0


if __name__ == "__main__":
    sys.exit(main())
