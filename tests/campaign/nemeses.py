"""What part C does to a run, two at once: each prepares the scene, then works beside the migration."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaign import network_nemeses, server_nemeses
from tests.campaign.checker import LOCK_LOST
from tests.campaign.faults import TARGETS, Attack, random_kill
from tests.campaign.stage import Prepared, Stage, can_mount, some_time_after_it_began

LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
FAKED_CLOCK = Path(__file__).with_name("faked_clock")


@contextmanager
def kill(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N1"""
    prepared.works.append(random_kill(latest=1.2))
    yield


@contextmanager
def kill_in_a_statement(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N1 with an orphan: the server goes on with a statement of six seconds whose client is dead, and a rival waits."""
    prepared.longer = ("c2", 6.0)

    def work(attack: Attack) -> None:
        sleeping = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(6%'"
        if attack.until(lambda: attack.database.rows(sleeping + " AND datname = current_database()")):
            attack.rival()
            waiting = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'migration-sidecar:by-hand-%'"
            attack.until(lambda: attack.database.rows(waiting + " AND datname = current_database()"), within=4.0)
            attack.wait(attack.random.uniform(0.1, 0.5))
            attack.strike(attack.random.choice(("migration process", "service")))

    prepared.works.append(work)
    yield


@contextmanager
def pause(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N2"""

    def work(attack: Attack) -> None:
        target = attack.random.choice(TARGETS)
        if some_time_after_it_began(attack) and (pid := attack.pid_of(target)):
            attack.strike(target, signal.SIGSTOP, pid)
            time.sleep(attack.random.uniform(1, 4))
            attack.carry_on(target, pid)

    prepared.works.append(work)
    yield


@contextmanager
def clock(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N10: the service's and the migration's clock is wrong, and jumps."""
    file = stage.folder / "clock"
    file.write_text(stage.random.choice(("+1h", "-1h", "+10y")))
    prepared.environment |= faked_clock(file, stage.ground.subject)

    def work(attack: Attack) -> None:
        if some_time_after_it_began(attack):
            attack.did("the clock jumps")
            # By a new file: libfaketime reads it at every call, and must never read half of it.
            other = file.with_suffix(".new")
            other.write_text(attack.random.choice(("+0", "-1h", "+2h")))
            other.replace(file)

    prepared.works.append(work)
    yield


def faked_clock(file: Path, subject: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is as far off as the file says, and nothing else."""
    return {
        **{"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"},
        # A monotonic clock never jumps. With libfaketime's "fix" for it each wait for Python's GIL becomes a busy loop.
        **{"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0"},
        "PYTHONPATH": f"{FAKED_CLOCK}:{subject}",
    }


@contextmanager
def lock_lost(_: Stage, prepared: Prepared) -> Iterator[None]:
    """The migrating session gives its lock away before a COMMIT, as a pooler's DISCARD ALL does. Not one of the pairs:
    whoever is killed then leaves a session behind that nobody waits for, because it has no lock."""
    prepared.loses_lock = True

    def work(attack: Attack) -> None:
        if attack.until(lambda: attack.database.rows("SELECT is_called FROM campaign.first_loss") == [(True,)], 60.0):
            attack.did("the migrating session gave its lock away")

    prepared.works.append(work)
    yield


ALONE = {LOCK_LOST: lock_lost}
ALL = {
    "kill": kill,
    "kill in a statement": kill_in_a_statement,
    "pause": pause,
    "clock": clock,
    "restart": server_nemeses.restart,
    "terminate": server_nemeses.terminate,
    "disk full": server_nemeses.disk_full,
    "table in use": server_nemeses.table_in_use,
    "lock taken": server_nemeses.lock_taken,
    "no connection free": server_nemeses.no_connection_free,
    "lost answer": network_nemeses.lost_answer,
    "flaky network": network_nemeses.flaky_network,
    "blackout": network_nemeses.blackout,
}
LEFT_OUT = {
    **({} if LIBFAKETIME.exists() else {"clock": "libfaketime is not installed"}),
    **({} if can_mount() else {"disk full": "a small disk cannot be mounted here"}),
}
NEMESES = {name: each for name, each in ALL.items() if name not in LEFT_OUT}
