"""The command line behind scripts/assess."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.assessment import attacker
from scripts.assessment.attacks import ATTACKS, Forger, Sending, is_possible
from scripts.assessment.doors import DAPRD, Door, doors_of, event_doors_of, sidecar_doors_of
from scripts.infrastructure.call_keys import OPERATOR
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.render import read_fleet
from scripts.infrastructure.settings import ROOT, Settings
from signed_calls.sidecar_token import HEADER

REFUSALS = frozenset({401, 403, 415})
REFUSALS_OF_DAPR = REFUSALS | {404, 405}  # an interface that is not permitted is not there
SECONDS = 900


@dataclass(frozen=True)
class Try:
    """One attack at one door, and its answer."""

    attack: str
    door: Door
    sending: Sending

    @property
    def request(self) -> list[Any]:
        """As the attacker takes it."""
        sent = self.sending
        token = {HEADER: self.door.token} if self.door.token else {}
        return [self.door.route.method, self.door.url, {**sent.headers, **token}, sent.content.decode(), sent.times]

    def was_refused(self, status: int) -> bool:
        """Whether the answer says so. A 404 or 422 of an application means that somebody got as far as that."""
        return status in (REFUSALS_OF_DAPR if self.door.way == DAPRD else REFUSALS)


def tries(fleet: Fleet) -> Iterator[Try]:
    """Everything that is tried at this fleet."""
    applications = read_fleet(fleet.file)
    forger = Forger(fleet.settings.keys_folder, OPERATOR)
    for door in doors_of(applications, fleet.token):
        for name, attack in ATTACKS.items():
            if is_possible(name, door):
                yield Try(name, door, attack(forger, door))
    for door in (*event_doors_of(applications), *sidecar_doors_of(applications)):
        yield Try("no key", door, forger.no_key(door))


def send_all(everything: list[Try]) -> tuple[str, list[int]]:
    """Whom the attacker ran as, and the status of each answer."""
    requests = [each.request for each in everything]
    done = subprocess.run(
        [sys.executable, "-I", str(Path(attacker.__file__))],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
        env={},
        cwd="/",
    )
    answer = json.loads(done.stdout)
    return answer["who"], answer["statuses"]


def running_fleet(settings: Settings) -> Fleet:
    """Raises InfrastructureError where none runs."""
    for fleet in Fleet.known(settings):
        if fleet.program.process() is not None or fleet.processes.find().launchers:
            return fleet
    raise InfrastructureError("No fleet runs here. Start one: ./scripts/quickstart")


def main() -> int:
    """Prints the table. Returns 0 if every attack was refused, 1 if one was not, 3 without a fleet."""
    try:
        everything = list(tries(running_fleet(Settings.from_environment())))
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    who, statuses = send_all(everything)
    answered = list(zip(everything, statuses, strict=True))
    open_doors = [(each, status) for each, status in answered if not each.was_refused(status)]
    show(answered)
    for each, status in open_doors:
        route = each.door.route
        words = (status or "none", route.application, each.door.way, route.method, route.path, each.attack)
        print("OPEN", *words, sep="  ")
    print(f"{len(everything)} attacks as {who}, {len(open_doors)} open")
    return 1 if open_doors else 0


def show(answered: list[tuple[Try, int]]) -> None:
    """One row for each way and attack: how many were refused, and with what."""
    rows: dict[tuple[str, str], list[tuple[Try, int]]] = {}
    for each, status in answered:
        rows.setdefault((each.door.way, each.attack), []).append((each, status))
    print(f"{'way':<24}{'attack':<18}{'refused':>8}{'open':>6}   answers")
    for (way, attack), row in rows.items():
        refused = sum(each.was_refused(status) for each, status in row)
        answers = sorted(Counter(status for _, status in row).items())
        seen = ", ".join(f"{status or 'none'} ({number})" for status, number in answers)
        print(f"{way:<24}{attack:<18}{refused:>8}{len(row) - refused:>6}   {seen}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
