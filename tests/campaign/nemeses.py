"""What part C does to a run, two at once: each prepares the scene, then works beside the migration."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from tests.campaign.faults import TARGETS, Attack, random_kill
from tests.campaign.ground import Database, Ground
from tests.campaign.proxy import Proxy, proxy_to

LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass
class Prepared:
    """What a nemesis changed before the service starts: how it reaches the database, and its environment."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)
    works: list[Callable[[Attack], None]] = field(default_factory=list)
    longer: tuple[str, float] = ("", 0.0)  # a revision, and the seconds that one of its statements takes longer


@dataclass(frozen=True)
class Stage:
    """What a nemesis may use."""

    ground: Ground
    database: Database
    folder: Path
    random: Random


def _some_time_after_it_began(attack: Attack, latest: float = 1.2) -> bool:
    return attack.until(attack.service.migration_process) and attack.wait(attack.random.uniform(0, latest))


@contextmanager
def kill(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N1"""
    prepared.works.append(random_kill(latest=1.2))
    yield


@contextmanager
def kill_in_a_statement(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N1 with an orphan: the server goes on with a statement of six seconds whose client is dead."""
    prepared.longer = ("c2", 6.0)

    def work(attack: Attack) -> None:
        sleeping = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(6%'"
        if attack.until(lambda: attack.database.rows(sleeping + " AND datname = current_database()")):
            attack.wait(attack.random.uniform(0, 1))
            attack.strike("migration process")

    prepared.works.append(work)
    yield


@contextmanager
def pause(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N2"""

    def work(attack: Attack) -> None:
        target = attack.random.choice(TARGETS)
        if _some_time_after_it_began(attack) and (pid := attack.pid_of(target)):
            attack.strike(target, signal.SIGSTOP, pid)
            time.sleep(attack.random.uniform(1, 4))
            attack.carry_on(target, pid)

    prepared.works.append(work)
    yield


@contextmanager
def restart(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N3: stopped at once, as after a power cut, and started again."""

    def work(attack: Attack) -> None:
        if _some_time_after_it_began(attack):
            attack.did("immediate stop of PostgreSQL")
            process = stage.ground.cluster.program.process()
            assert process is not None
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
            time.sleep(attack.random.uniform(0, 1.5))
            stage.ground.cluster.start()

    prepared.works.append(work)
    yield


@contextmanager
def terminate(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N4"""

    def work(attack: Attack) -> None:
        which = attack.random.choice(("migration-sidecar:%", "migration-sidecar %", "%"))
        if _some_time_after_it_began(attack):
            attack.did(f"pg_terminate_backend of {which}")
            attack.database.rows(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND usename = 'migrator' AND application_name LIKE %s""",
                which,
            )

    prepared.works.append(work)
    yield


@contextmanager
def _through_proxy(stage: Stage, prepared: Prepared, work: Callable[[Attack, Proxy], None]) -> Iterator[None]:
    port = stage.database.address.port
    with proxy_to(port) as proxy:
        prepared.url = prepared.url.replace(f":{port}/", f":{proxy.port}/")
        prepared.works.append(lambda attack: work(attack, proxy))
        yield


def lost_answer(stage: Stage, prepared: Prepared) -> object:
    """N5: a COMMIT takes effect, and nobody hears of it."""

    def work(attack: Attack, proxy: Proxy) -> None:
        if _some_time_after_it_began(attack):
            proxy.swallow_commits = attack.random.randint(1, 2)
            if attack.until(lambda: proxy.swallowed):
                attack.did("a COMMIT's answer was lost")

    return _through_proxy(stage, prepared, work)


def flaky_network(stage: Stage, prepared: Prepared) -> object:
    """N5: slow, and reset now and then."""

    def work(attack: Attack, proxy: Proxy) -> None:
        proxy.latency_seconds = attack.random.uniform(0, 0.02)
        for _ in range(attack.random.randint(1, 3)):
            if not _some_time_after_it_began(attack, latest=0.8):
                break
            attack.did(f"{proxy.break_all()} connections reset")
        proxy.latency_seconds = 0.0

    return _through_proxy(stage, prepared, work)


def blackout(stage: Stage, prepared: Prepared) -> object:
    """N6, as far as one machine can: nothing passes, and every connection stays established."""

    def work(attack: Attack, proxy: Proxy) -> None:
        if _some_time_after_it_began(attack):
            attack.did("nothing passes")
            proxy.silent = True
            time.sleep(attack.random.uniform(1, 5))
            if attack.random.random() < 0.5:
                proxy.break_all()
            proxy.silent = False

    return _through_proxy(stage, prepared, work)


@contextmanager
def clock(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N10: the service's and the migration's clock is wrong, and jumps."""
    file = stage.folder / "clock"
    file.write_text(stage.random.choice(("+1h", "-1h", "+10y")))
    prepared.environment |= {
        **{"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"},
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

    def work(attack: Attack) -> None:
        if _some_time_after_it_began(attack):
            attack.did("the clock jumps")
            file.write_text(attack.random.choice(("+0", "-1h", "+2h")))

    prepared.works.append(work)
    yield


@contextmanager
def disk_full(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N11: the database's own small disk has no room for a while."""
    disk = stage.folder.parent / "small-disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=0777", "tmpfs", str(disk)], check=True)
    try:
        stage.ground.move_to_disk(stage.database, disk)

        def work(attack: Attack) -> None:
            if attack.until(attack.service.migration_process) and attack.wait(attack.random.uniform(0, 0.8)):
                filler = disk / "filler"
                attack.did("the disk is full")
                _fill(filler)
                time.sleep(attack.random.uniform(0.5, 2))
                filler.unlink(missing_ok=True)

        prepared.works.append(work)
        yield
    finally:
        stage.ground.leave_disk(stage.database)
        subprocess.run(["umount", str(disk)], check=True)


def _fill(file: Path) -> None:
    try:
        with file.open("wb", buffering=0) as filler:
            while filler.write(b"\0" * (1 << 16)):
                pass
    except OSError:
        return


@contextmanager
def table_in_use(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N13: somebody reads a table in an open transaction and goes to lunch."""

    def work(attack: Attack) -> None:
        if attack.until(lambda: attack.database.rows("SELECT to_regclass('hot') IS NOT NULL") == [(True,)]):
            with attack.database.address.connect(attack.database.name) as connection:
                connection.execute("BEGIN; SELECT count(*) FROM hot")
                attack.did("a reader keeps the table hot")
                time.sleep(attack.random.uniform(1, 4))

    prepared.works.append(work)
    yield


@contextmanager
def lock_taken(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N13: a stranger has the migration lock first."""

    def work(attack: Attack) -> None:
        time.sleep(attack.random.uniform(1, 3))
        attack.did("a stranger gives the migration lock back")
        connection.close()

    connection = stage.database.address.connect(stage.database.name)
    connection.execute("SELECT pg_advisory_lock(19785, 285493415)")
    prepared.works.append(work)
    try:
        yield
    finally:
        connection.close()


@contextmanager
def no_connection_free(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N14"""

    def work(attack: Attack) -> None:
        if _some_time_after_it_began(attack, latest=0.6):
            attack.did("the role may open no more connections")
            attack.database.command("ALTER ROLE migrator CONNECTION LIMIT 1")
            time.sleep(attack.random.uniform(0.5, 2))
            attack.database.command("ALTER ROLE migrator CONNECTION LIMIT -1")

    prepared.works.append(work)
    try:
        yield
    finally:
        stage.database.command("ALTER ROLE migrator CONNECTION LIMIT -1")


@cache
def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


ALL = {
    **{
        "kill": kill,
        "kill in a statement": kill_in_a_statement,
        "pause": pause,
        "restart": restart,
        "terminate": terminate,
        "lost answer": lost_answer,
    },
    **{"flaky network": flaky_network, "blackout": blackout, "clock": clock, "disk full": disk_full},
    **{"table in use": table_in_use, "lock taken": lock_taken, "no connection free": no_connection_free},
}
LEFT_OUT = {
    **({} if LIBFAKETIME.exists() else {"clock": "libfaketime is not installed"}),
    **({} if can_mount() else {"disk full": "a small disk cannot be mounted here"}),
}
NEMESES = {name: each for name, each in ALL.items() if name not in LEFT_OUT}
