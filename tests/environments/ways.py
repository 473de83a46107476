"""The ways to migrate an environment: bare Alembic, our command line, and our endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import httpx

from scripts.infrastructure import ports
from tests.environments.forking import Command, Nursery
from tests.environments.styles import Style
from tests.integration.databases import Database

LIMIT_SECONDS = 120.0
START_SECONDS = 60.0
STILL_LOADING = "CM-308"


class DidNotMigrate(AssertionError):
    """What was run, and everything that it said."""


@dataclass(frozen=True)
class Place:
    """One style on one database."""

    style: Style
    config: Path
    database: Database
    nursery: Nursery
    python: Path | None = None

    def run(self, program: str, *words: str) -> None:
        """Raises DidNotMigrate."""
        output = self.config.parent / "said.log"
        output.unlink(missing_ok=True)
        code = self.nursery.wait(self.begin(program, list(words), output))
        if code != 0:
            said = output.read_text(errors="replace")[-4000:]
            raise DidNotMigrate(f"{self.style.name}: {program} {' '.join(words)} ended with {code}\n{said}")

    def begin(self, program: str, words: list[str], output: Path, **variables: str) -> int:
        """As a person does, it stands in the folder of the configuration."""
        return self.nursery.begin(
            Command(program, words, str(self.config.parent), self.environment(**variables), str(output))
        )

    def environment(self, **more: str) -> dict[str, str]:
        ours = {name: self._filled(value) for name, value in self.style.variables}
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, "NO_COLOR": "1", **ours, **more}

    def x(self) -> list[str]:
        return [word for pair in self.style.x for word in ("-x", self._filled(pair))]

    def options(self, section: str) -> list[str]:
        """What our commands take to be pointed at this environment."""
        words = [*(["--config", str(self.config)] if not self.style.flask else []), *self.x()]
        words += ["--name", section] if section != "alembic" else []
        return [*words, "--python", str(self.python)] if self.python else words

    def _filled(self, text: str) -> str:
        address = self.database.address
        return text.format(
            url=address.url(self.database.name, scheme=self.style.scheme),
            server=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            db=self.database.name,
        )


See = Callable[[str], None]  # is told "top", "floor" and "bottom" when the database is there


def init_flask_migrate(place: Place) -> None:
    """The folder as `flask db init` makes it, with the revisions of the style."""
    place.run("python", str(place.python), "-m", "flask", "db", "init")
    for file in (place.config.parent / "revisions").iterdir():
        file.rename(place.config.parent / "migrations" / "versions" / file.name)


def by_bare_alembic(place: Place, see: See) -> None:
    """Or, where only Flask-Migrate can run it, by its own command."""

    def run(section: str, *words: str) -> None:
        if place.style.flask:
            place.run("python", str(place.python), "-m", "flask", "db", *words)
            return
        place.run("alembic", "-c", place.config.name, "-n", section, *place.x(), *words)

    _by_commands(place, see, run, floor=True)


def by_command_line(place: Place, see: See) -> None:
    def run(section: str, *words: str) -> None:
        place.run("migration-sidecar", *words, *place.options(section))

    _by_commands(place, see, run)


def _by_commands(place: Place, see: See, run: Callable[..., None], *, floor: bool = False) -> None:
    for section in place.style.sections:
        run(section, "upgrade", "heads")
    see("top")
    if floor:
        for section in reversed(place.style.sections):
            run(section, "downgrade", place.style.floor)
        see("floor")
    for section in reversed(place.style.sections):
        run(section, "downgrade", "base")
    see("bottom")


def by_endpoint(place: Place, see: See) -> None:
    """One server per history, as one service has one history."""
    take_downgrades(place.config)
    with ExitStack() as stack:
        clients = [stack.enter_context(served(place, section)) for section in place.style.sections]
        for client in clients:
            _require_told(client, "empty")
            _order(client, "upgrade", "heads")
            _require_told(client, "at_head")
        see("top")
        for client in reversed(clients):
            _order(client, "downgrade", place.style.floor)
            _require_told(client, "behind")
        see("floor")


def take_downgrades(config: Path) -> None:
    """What an operator adds whose coordinator is to take revisions back; the last lines of every style."""
    section = "tool.migration_sidecar" if config.suffix == ".toml" else "migration_sidecar"
    with config.open("a", encoding="utf-8") as file:
        file.write(f"\n[{section}]\nendpoint_downgrades = true\n")


@contextmanager
def served(place: Place, section: str) -> Iterator[httpx.Client]:
    """`migration-sidecar serve`, as a process of its own."""
    port = ports.choose(1)[0]
    words, said = ["serve", "--port", str(port), *place.options(section)], place.config.parent / f"serve-{section}.log"
    pid = place.begin("migration-sidecar", words, said, MIGRATE_ON_STARTUP="off")
    try:
        with httpx.Client(base_url=f"http://{ports.LOOPBACK}:{port}", timeout=LIMIT_SECONDS) as client:
            _wait_until_it_answers(client, said)
            yield client
    finally:
        os.kill(pid, SIGTERM)
        place.nursery.wait(pid)


def _wait_until_it_answers(client: httpx.Client, said: Path) -> None:
    """And until it has loaded what a status needs, which takes longer than a status waits on a busy machine."""
    end = monotonic() + START_SECONDS
    while monotonic() < end:
        try:
            if client.get("/migrations").json().get("error", {}).get("code") != STILL_LOADING:
                return
        except httpx.TransportError:
            sleep(0.05)
    raise DidNotMigrate(f"serve did not answer\n{said.read_text()[-4000:]}")


def _require_told(client: httpx.Client, state: str) -> None:
    """Status and plan agree with each other and with what was done."""
    told, plan = client.get("/migrations").json(), client.get("/migrations/plan?target=heads").json()
    left = [revision["id"] for revision in plan.get("revisions", [])]
    if (told["state"], bool(left), plan.get("obstacles")) != (state, state != "at_head", []) or told["pending"] != left:
        raise DidNotMigrate(f"it should be {state}\n{told}\n{plan}")


def _order(client: httpx.Client, action: str, target: str) -> None:
    operation: dict[str, Any] = {"operation_id": f"{action}-{uuid4()}", "action": action, "target": target}
    answer = client.post("/migrations/operations", json=operation, params={"wait_seconds": 20})
    while answer.is_success and answer.json()["state"] in ("accepted", "running"):
        answer = client.get(f"/migrations/operations/{operation['operation_id']}", params={"wait_seconds": 20})
    if not answer.is_success or answer.json()["state"] != "succeeded":
        raise DidNotMigrate(f"{action} {target}: {answer.status_code} {answer.text}")
