"""The main task on an empty machine: starts servers and the fleet, publishes one event, and shows the result."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.infrastructure import loopback, private
from scripts.infrastructure.call_keys import operator_file
from scripts.infrastructure.catalog import members
from scripts.infrastructure.errors import CannotConnect, InfrastructureError
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.inherited import inherited, of_a_fleet
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.render import read_fleet
from scripts.infrastructure.render_secrets import DEVELOPMENT
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.signed import anchors, wait_until_signed
from scripts.infrastructure.telling import say
from signed_calls.sidecar_token import VARIABLE

PROGRAMS = Path(sys.prefix) / "bin"
COUNT_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@dataclass
class Progress:
    """Prints a sentence with the seconds since the start."""

    started: float

    def __call__(self, sentence: str) -> None:
        say(f"[{time.monotonic() - self.started:3.0f} s] {sentence}")


def quickstart(settings: Settings, environment: Mapping[str, str]) -> int:
    """Returns the exit code of the run: 0 when every database is at its head. Raises InfrastructureError."""
    say = Progress(time.monotonic())
    members()  # reports a bad catalog before anything is started
    say("starting PostgreSQL, Redis and Dapr's control plane")
    Infrastructure(settings, say=say).up()
    say("creating the databases")
    if subprocess.run([ROOT / "scripts" / "setup_databases.sh"], env=environment, check=False).returncode != 0:
        raise InfrastructureError("Not every database could be created; what is above says why.")
    fleet = Fleet.of(settings, {"MIGRATE_ON_STARTUP": environment.get("MIGRATE_ON_STARTUP", "check")})
    start(fleet, say)
    return migrate(fleet, environment, say)


def start(fleet: Fleet, say: Progress) -> None:
    """Starts the fleet and waits for it. Restarts a fleet whose sidecars have ended: `dapr run` would never do that."""
    if fleet.program.process() is not None and (lost := fleet.lost_sidecars()):
        say(f"{lost.why} Ending the fleet and starting it again.")
        fleet.stop()
    if fleet.program.process() is None:
        say(f"starting the fleet: dapr run -f {fleet.file}")
    fleet.start(say)
    names = list(read_fleet(fleet.file))
    say(f"waiting until the coordinator is ready and {len(names) - 1} services answer through its sidecar")
    fleet.wait(lambda name: say(f"  {name} is there"))


def migrate(fleet: Fleet, environment: Mapping[str, str], say: Progress) -> int:
    """Publishes migrate.requested, watches the run, and shows its records. Returns the exit code of the run."""
    request = f"quickstart-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    body = {"services": "all", "request_id": request, "requested_by": who(), "reason": "quickstart"}
    say("publishing migrate.requested, which in a second shell would be:")
    say(f"  dapr publish --publish-app-id {COORDINATOR} --pubsub pubsub --topic migrate.requested \\")
    say(f"    --data '{json.dumps(body)}'")
    publish(fleet, body)
    shell = {
        **inherited(of_a_fleet(environment), environment),
        "DAPR_HTTP_PORT": fleet.sidecar.rpartition(":")[2],
        "COORDINATOR_KEY_FILE": str(operator_file(fleet.settings.keys_folder)),
        VARIABLE: fleet.token,
    }
    say("watching the run")
    outcome = call(["coordinator", "watch", request], shell)
    say("the run as Dapr state has it")
    call(["coordinator", "status", request], shell)
    say("the run as the audit has it")
    call(["coordinator", "audit", "list", "--request", request, "--limit", "100"], shell)
    show_tables(fleet.settings)
    say("the audit, verified")
    wait_until_signed(fleet)
    call(["coordinator", "audit", "verify"], shell)
    say(f"What is signed is kept outside the database too: {anchors(fleet, environment)}")
    say("done; the fleet keeps running" if outcome == 0 else f"the run did not succeed (exit code {outcome})")
    psql = psql_command(fleet.settings.postgres)
    say(WHAT_NEXT.format(request=request, log=fleet.program.log, sidecar=fleet.sidecar, psql=psql))
    return outcome


def psql_command(server: Address) -> str:
    """A command that the user can paste.

    It contains only the development password; another one stays in its variable.
    """
    password = DEVELOPMENT.password if server.password == DEVELOPMENT.password else '"$POSTGRES_PASSWORD"'
    port = [] if server.port == DEVELOPMENT.port else ["-p", str(server.port)]
    words = ["psql", "-h", server.host, *port, "-U", server.user, "-d", members()[1].database, "-c", "\\dt"]
    return f"PGPASSWORD={password} {shlex.join(words)}"


def who() -> str:
    """The name of the user. A container may run as a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def publish(fleet: Fleet, body: dict[str, str]) -> None:
    """Publishes through the sidecar of this fleet. `dapr publish` would use any sidecar with this app id.

    Raises CannotConnect.
    """
    request = fleet.request("/v1.0/publish/pubsub/migrate.requested", json.dumps(body).encode())
    try:
        loopback.call(request, timeout_seconds=30).close()
    except OSError as error:
        raise CannotConnect(
            "The broker", f"the event was not accepted ({error})", f"Look into {fleet.program.log}"
        ) from None


def call(command: list[str], environment: Mapping[str, str]) -> int:
    """Runs a program of .venv/bin as the user would, and returns its exit code."""
    return subprocess.run([PROGRAMS / command[0], *command[1:]], env=environment, cwd=ROOT, check=False).returncode


def show_tables(settings: Settings) -> None:
    """Prints the number of tables in each database, as PostgreSQL reports it."""
    say("Tables in public, the version table included:")
    for member in members():
        with settings.postgres.connect(member.database) as connection:
            tables = connection.execute(COUNT_TABLES).fetchone()
        say(f"  {member.database:<16} {tables[0] if tables else 0}")


WHAT_NEXT = """
Look:   source .venv/bin/activate        (then dapr, psql and coordinator are on the PATH)
        coordinator fleet                what every service is at
        coordinator status {request}
        coordinator audit report --run {request} --html report.html
        {psql}
        dapr list                        the coordinator's sidecar is {sidecar}
        less {log}
Again:  ./scripts/quickstart             everything is at its head now, so every service is `unchanged`
Stop:   ./scripts/stop"""


def main() -> int:
    """Called by scripts/quickstart. Returns the exit code."""
    private.restrict_umask()
    # The development fleet has tokens of its own.
    for name in ("DAPR_API_TOKEN", "APP_API_TOKEN"):
        os.environ.pop(name, None)
    try:
        return quickstart(Settings.from_environment(), os.environ)
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nInterrupted. What was started keeps running; ./scripts/stop ends it.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
