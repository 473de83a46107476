"""What is done to a running migration, and the evidence that it landed while work was in flight."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.campaign.ground import Database
from tests.campaign.service import Service, ports_of, signal_to

EARLY = 0.2
TARGETS = ("service", "forkserver", "migration process", "backend")
SESSIONS = """SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'migration-sidecar:%'"""


@dataclass(frozen=True)
class Fault:
    """Something that was done at a moment; `holding`: to a session that surely had the migration lock."""

    what: str
    at: float
    holding: bool = False

    @property
    def ends_sessions(self) -> bool:
        return self.what.startswith(("SIGKILL", "immediate stop")) or self.what.endswith((" kill", " drop"))


@dataclass
class Attack:
    """Runs beside the course; `faults` is what was really done."""

    service: Service
    database: Database
    random: Random
    faults: list[Fault] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _rivals: list[int] = field(default_factory=list)

    def rival(self) -> None:
        """Somebody else's `upgrade` of the same database, at the same time."""
        argv, log = ["upgrade", "--config", str(self.service.ini)], self.service.log.with_name("rival.log")
        self._rivals.append(self.service.zygote.start(argv, {}, log))

    def rivals_ended(self) -> list[str]:
        """A rival that outlived its run would meddle with the next one."""
        alive = [pid for pid in self._rivals if self.service.zygote.code(pid, timeout=60) is None]
        for pid in alive:
            signal_to(pid, signal.SIGKILL)
        return [f"a rival did not end: pid {pid}" for pid in alive]

    def begin(self, works: list[Callable[[Attack], None]]) -> None:
        self._threads = [threading.Thread(target=self._do, args=(work,), daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def _do(self, work: Callable[[Attack], None]) -> None:
        try:
            work(self)
        except Exception as error:
            self.broken.append(f"the fault could not be made: {type(error).__name__}: {error}")

    def wait(self, seconds: float) -> bool:
        """False when the course is over."""
        return not self._ended.wait(seconds)

    def until(self, condition: Callable[[], object], within: float = 20.0) -> bool:
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline or not self.wait(0.01):
                return False
        return True

    def has_session(self) -> bool:
        return bool(self.database.rows(SESSIONS))

    def pid_of(self, target: str) -> int | None:
        if target == "service":
            return self.service.pid
        if target == "forkserver":
            return self.service.forkserver()
        if target == "migration process":
            return self._migrating_process()
        rows = self.database.rows(SESSIONS)
        return rows[0][0] if rows else None

    def _migrating_process(self) -> int | None:
        """The one that has a session: beside it another may be prepared, or look at env.py."""
        found = self.service.migration_processes()
        ports = {port for (port,) in self.database.rows(SESSIONS.replace("pid", "client_port"))}
        return next((pid for pid in found if ports & ports_of(pid)), next(iter(found), None))

    def did(self, what: str) -> None:
        self.faults.append(Fault(what, time.time()))

    def carry_on(self, target: str, pid: int) -> None:
        """Continues what was stopped."""
        signal_to(pid, signal.SIGCONT)
        if target == "service":
            time.sleep(0.2)
            self.service.expected_alive = True

    def strike(self, target: str, number: signal.Signals = signal.SIGKILL, pid: int | None = None) -> bool:
        """Signals one of our own processes; a service that is harmed is no longer expected to answer."""
        pid = pid or self.pid_of(target)
        if target == "service":
            self.service.expected_alive = False
        at = time.time()
        if not signal_to(pid, number):
            return False
        self.faults.append(Fault(f"{number.name} {target}", at))
        return True


def random_kill(latest: float) -> Callable[[Attack], None]:
    """N1: SIGKILL of one of the four, some time after a migration has a session, or now and then while it is made."""

    def work(attack: Attack) -> None:
        target = attack.random.choice(TARGETS)
        after = attack.random.uniform(0, latest)
        begun = attack.service.migration_process if attack.random.random() < EARLY else attack.has_session
        if attack.until(begun) and attack.wait(after):
            attack.until(lambda: attack.strike(target), within=0.5)

    return work


@dataclass(frozen=True)
class HitLog:
    """What failpoints wrote."""

    file: Path

    def hits(self) -> list[tuple[str, str, int, float]]:
        if not self.file.exists():
            return []
        words = [line.split() for line in self.file.read_text().splitlines()]
        return [(each[1], each[2], int(each[3]), float(each[4])) for each in words if each[0] == "hit"]


def continue_the_stopped(log: HitLog, after: float) -> Callable[[Attack], None]:
    """A process that stopped itself meets a rival migrator, and is continued later."""

    def work(attack: Attack) -> None:
        if attack.until(log.hits, within=60.0):
            pid = note(attack, log)
            attack.rival()
            attack.wait(after)
            signal_to(pid, signal.SIGCONT)

    return work


def watch_hits(log: HitLog) -> Callable[[Attack], None]:
    """Notes when a failpoint was hit."""

    def work(attack: Attack) -> None:
        if attack.until(log.hits, within=60.0):
            note(attack, log)

    return work


def note(attack: Attack, log: HitLog) -> int:
    """The pid that hit a failpoint; what it did is remembered."""
    name, action, pid, at = log.hits()[0]
    attack.faults.append(Fault(f"{name} {action}", at, holding=name != "attempt_written"))
    return pid
