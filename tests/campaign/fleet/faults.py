"""The faults of a campaign. Each is done to processes that the campaign started, by pid, and healed after a while."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from coordinator.domain.run_state import RunState
from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.fleet.ground import DATABASES, SERVICES, CampaignGround
from tests.campaign.fleet.spec import WORKING, Fault
from tests.end_to_end.accounting import by_hand
from tests.end_to_end.ground import Killed

SLEEPING = "SELECT datname, pid FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()"
STALL_SECONDS = 20.0
GRACE_SECONDS = 10.0
PATCH = 'ONE_ACTIVITY = "one-activity"'
Heal = Callable[[], None]


@dataclass
class Placed:
    """A fault that was done: where, when, and when it was healed again, by the clock of the machine."""

    what: str
    at: float
    heal: Heal
    due: float
    healed_at: float | None = None


class NotNow(Exception):
    """There is nothing that this fault could be done to at the moment."""


@dataclass
class FaultMaker:
    campaign: CampaignGround
    violations: list[str]
    not_stalled: bool = False

    def working(self) -> list[str]:
        """The services whose databases carry a revision out right now."""
        try:
            found = {row[0] for row in self.campaign.ground.query("postgres", SLEEPING)}
        except Exception:
            return []  # the server may be away
        return [name for name in SERVICES if DATABASES[name] in found]

    def place(self, fault: Fault, request_ids: list[str]) -> Placed:
        """Raises NotNow."""
        what, at = fault.what, time.time()
        if what.startswith(WORKING):
            working = self.working()
            if not working:
                raise NotNow
            what = what.replace(WORKING, working[0])
        if fault.kind == "kill":
            heal = self._kill(what)
        elif fault.kind == "stop":
            heal = self._stop(what)
        elif fault.kind == "workflow":
            heal = self._workflow(what, request_ids[0])
        else:
            heal = self._other(what)
        return Placed(f"{fault.kind} {what}", at, heal, time.monotonic() + fault.away)

    def _kill(self, place: str) -> Heal:
        campaign, infrastructure = self.campaign, self.campaign.ground.infrastructure
        if place.endswith("migration process"):
            _migration_process(campaign.process(place.removesuffix(" migration process"))).kill()
            return lambda: None
        if place == "postgres":
            # An immediate stop: no checkpoint, recovery at the next start. SIGKILL would leave its children behind.
            server = campaign.process(place)
            server.send_signal(signal.SIGQUIT)
            psutil.wait_procs([server], timeout=GRACE_SECONDS)
            return _patiently(infrastructure.postgres.start)
        if place in ("placement", "scheduler", "redis"):
            server = campaign.process(place)
            server.kill()
            psutil.wait_procs([server], timeout=GRACE_SECONDS)
            return infrastructure.redis.start if place == "redis" else infrastructure.control_plane.start
        return Killed.now(campaign.process(place), campaign.log).again

    def _stop(self, place: str) -> Heal:
        process = self.campaign.process(place)
        process.suspend()
        return process.resume

    def _workflow(self, verb: str, request_id: str) -> Heal:
        run = self._record(request_id)
        instance = f"{request_id}.{run.get('generation', 0)}"
        if run["state"] != "paused":
            raise NotNow  # an activity under way would carry the run to its end; and never purged with a step in flight
        if verb == "stall":
            return self._stall(request_id, instance)
        if verb == "purge":
            self.campaign.workflow(instance, "terminate").raise_for_status()
            self.campaign.workflow(instance, "purge")
            return lambda: None
        self.campaign.workflow(instance, {"suspend": "pause"}.get(verb, verb)).raise_for_status()
        return lambda: None

    def _record(self, request_id: str) -> dict[str, object]:
        try:
            answer = self.campaign.ground.ask("GET", f"/migrations/{request_id}")
            run: dict[str, object] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            raise NotNow from None
        if RunState(str(run["state"])).terminal:
            raise NotNow
        return run

    def _stall(self, request_id: str, instance: str) -> Heal:
        """Coordinators whose workflow has another patch: what they replay is stalled while they are there."""
        places = self.campaign.coordinators()
        killed = [Killed.now(self.campaign.process(place), self.campaign.log) for place in places]
        other = str(_with_another_patch(self.campaign.subject))
        for each in killed:
            environment = {**each.environment, "PYTHONPATH": other}
            Killed(each.command, environment, other, self.campaign.log).again()
        for place in places:
            self._wait_until_it_listens(place)
        self._resume_until_it_stalls(request_id, instance)

        def heal() -> None:
            psutil.wait_procs([_killed(self.campaign.process(place)) for place in places], timeout=GRACE_SECONDS)
            for each in killed:
                each.again()

        return heal

    def _resume_until_it_stalls(self, request_id: str, instance: str) -> None:
        """The verb wakes the workflow, which is replayed then. Of a stalled one only daprd's log tells."""
        until = time.monotonic() + STALL_SECONDS
        logs = (self.campaign.log, self.campaign.ground.fleet.program.log)
        body = {"reason": "so that it is replayed", "command_id": f"{request_id}-to-be-stalled"}
        while time.monotonic() < until:
            with suppress(httpx.HTTPError, ValueError):
                self.campaign.ground.ask("POST", f"/migrations/{request_id}/resume", json=body)
            if any(f"'{instance}': workflow is stalled" in log.read_text(errors="replace") for log in logs):
                return
            time.sleep(0.3)
        self.not_stalled = True

    def _other(self, what: str) -> Heal:
        if what == "by hand":
            name = next(iter(self.working()), None)
            if name is None:
                raise NotNow
            later = [each for each in SERVICES if each != name]
            with suppress(Exception):  # whoever upgrades by hand may be refused
                by_hand(self.campaign.ground, later[-1], "upgrade", "head")
            return lambda: None
        if what == "rolling restart":
            return self._restart_in_turn()
        return lambda: None  # a file that changes is the work of whoever approves

    def _restart_in_turn(self) -> Heal:
        """SIGTERM and a new start, one coordinator after the other, as an update does it."""
        for place in self.campaign.coordinators():
            process = self.campaign.process(place)
            restarted = Killed.soon(process, self.campaign.log)
            began = time.monotonic()
            process.terminate()
            _, alive = psutil.wait_procs([process], timeout=3 * GRACE_SECONDS)
            if time.monotonic() - began > GRACE_SECONDS:
                self.violations.append(f"stop: {place} took {time.monotonic() - began:.1f} s to end after SIGTERM")
            for each in alive:
                each.kill()
            restarted.again()
            self._wait_until_it_listens(place)
        return lambda: None

    def _wait_until_it_listens(self, place: str) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(AssertionError):
                self.campaign.process(place)
                return
            time.sleep(0.1)
        raise InfrastructureError(f"{place} did not come back")


def _patiently(start: Heal) -> Heal:
    """Recovery of a server may take longer than a start: it is waited for three times as long."""

    def heal() -> None:
        for attempt in range(3):
            try:
                return start()
            except InfrastructureError:
                if attempt == 2:
                    raise
        return None

    return heal


def _killed(process: psutil.Process) -> psutil.Process:
    process.kill()
    return process


def _migration_process(service: psutil.Process) -> psutil.Process:
    """The youngest below the forkserver; raises NotNow."""
    below = [each for child in service.children() for each in child.children(recursive=True)]
    if not below:
        raise NotNow
    return max(below, key=lambda each: float(each.create_time()))


def _with_another_patch(subject: Path) -> Path:
    other = subject.with_name("another-patch")
    if not other.exists():
        shutil.copytree(subject, other, ignore=shutil.ignore_patterns("__pycache__"))
        workflow = other / "coordinator" / "workflow" / "current.py"
        text = workflow.read_text()
        if PATCH not in text:
            raise InfrastructureError("the workflow has no patch of the expected name")
        workflow.write_text(text.replace(PATCH, 'ONE_ACTIVITY = "another-activity"'))
    return other
