"""The command line behind scripts/rehearse-upgrade."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.telling import say

EARLIER_RUNS = ("earlier-all", "earlier-again")
NOBODY = "no-such-service"
CHAIN = "SELECT seq, event_type, request_id, hash FROM public.audit_events ORDER BY seq"
SECONDS = 600


@dataclass(frozen=True)
class Checkout:
    """One commit with a .venv of its own, and the state directory that both use."""

    folder: Path
    state: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of its .venv in its folder, as a user would; what it prints is kept."""
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        environment |= {"RMBRAIN_STATE_DIR": str(self.state), "PYTHONPATH": str(self.folder)}
        program, *arguments = command
        return subprocess.run(
            [str(self.folder / ".venv" / "bin" / program), *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def answer(self, *words: str) -> Any:
        """What `coordinator … --json` says; None if that is no JSON."""
        try:
            return json.loads(self.run("coordinator", *words, "--json").stdout)
        except ValueError:
            return None

    @property
    def commit(self) -> str:
        """Its short id."""
        shown = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return shown.stdout.strip()


@dataclass
class Rehearsal:
    """What was looked at, in sentences, and whether it held."""

    settings: Settings
    seen: list[tuple[bool, str]] = field(default_factory=list)

    def look(self, held: bool, sentence: str) -> None:
        """Notes one finding, and says it."""
        self.seen.append((held, sentence))
        say(f"{'ok ' if held else 'NOT'} {sentence}")

    def chain(self) -> list[tuple[Any, ...]]:
        """Every event of the audit with its hash, as the database has it."""
        with self.settings.postgres.connect("cas_audit") as connection:
            return connection.execute(CHAIN).fetchall()

    def leave_a_past(self, earlier: Checkout) -> list[tuple[Any, ...]]:
        """Starts the earlier fleet, makes runs, a refusal and events, and stops it. Returns its chain."""
        started = earlier.run("python", "-m", "scripts.infrastructure.quickstart")
        self.look(started.returncode == 0, f"{earlier.commit} starts and migrates nine empty databases by an event")
        for request in EARLIER_RUNS:
            done = earlier.run("coordinator", "request", "--all", "--request-id", request, "--watch")
            self.look(done.returncode == 0, f"its run {request} succeeds")
        refused = earlier.run("coordinator", "request", NOBODY, "--request-id", "earlier-refused")
        self.look(refused.returncode != 0, "its request for an unknown service is refused")
        self.look(bool((earlier.answer("audit", "verify") or {}).get("ok")), "its audit verifies")
        chain = self.chain()
        stopped = earlier.run("python", "-m", "scripts.infrastructure.stop")
        self.look(stopped.returncode == 0, f"it is stopped with {len(chain)} events in its audit")
        return chain

    def go_on(self, present: Checkout, chain: list[tuple[Any, ...]]) -> None:
        """Starts this checkout on the same data, and looks at everything that the earlier one left."""
        infrastructure = Infrastructure(self.settings)
        infrastructure.up()
        fleet = Fleet.of(self.settings, {"MIGRATE_ON_STARTUP": "check"})
        try:
            fleet.start()
            fleet.wait()
            self.look(True, f"{present.commit} starts on the same state directory and databases")
            self._past_is_whole(present, chain)
            done = present.run("coordinator", "request", "--all", "--request-id", "later", "--watch")
            self.look(done.returncode == 0, "a new run of all services succeeds")
            self._past_is_whole(present, chain)
        finally:
            fleet.stop()
            infrastructure.down()

    def _past_is_whole(self, present: Checkout, chain: list[tuple[Any, ...]]) -> None:
        now = self.chain()
        self.look(now[: len(chain)] == chain, f"its {len(chain)} events have the hashes that they had; {len(now)} now")
        for verb in ("verify", "reconcile"):
            done = present.run("coordinator", "audit", verb)
            lines = (done.stdout + done.stderr).strip().splitlines()
            self.look(done.returncode == 0, f"audit {verb}: {lines[-1].strip() if lines else 'it said nothing'}")
        for request in EARLIER_RUNS:
            run = present.answer("status", request) or {}
            self.look(run.get("state") == "succeeded", f"run {request} is {run.get('state')}")


def report(rehearsal: Rehearsal, earlier: Checkout, present: Checkout) -> str:
    """The findings as a page."""
    rows = [f"| {'yes' if held else '**no**'} | {sentence} |" for held, sentence in rehearsal.seen]
    head = f"# An upgrade from {earlier.commit} to {present.commit}\n\n"
    how = f"Made by `./scripts/rehearse-upgrade {earlier.commit}`, on data of its own.\n\n| held | |\n|---|---|\n"
    return head + how + "\n".join(rows) + "\n"


def main(work: Path, write: Callable[[str], Any] | None = None) -> int:
    """Returns 0 if everything held, else 1."""
    state = work / "state"
    os.environ["RMBRAIN_STATE_DIR"] = str(state)
    rehearsal = Rehearsal(Settings.from_environment())
    earlier, present = Checkout(work / "earlier", state), Checkout(ROOT, state)
    try:
        rehearsal.go_on(present, rehearsal.leave_a_past(earlier))
    finally:
        earlier.run("python", "-m", "scripts.infrastructure.stop")
        if write is not None:
            write(report(rehearsal, earlier, present))
    return 0 if all(held for held, _ in rehearsal.seen) else 1


if __name__ == "__main__":
    folder, *file = sys.argv[1:]
    sys.exit(main(Path(folder), Path(file[0]).write_text if file else None))
