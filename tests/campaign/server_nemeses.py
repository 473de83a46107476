"""Part C's troubles with the server: stopped, full, crowded, or busy with somebody else."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.campaign.faults import Attack
from tests.campaign.ground import patient
from tests.campaign.stage import Prepared, Stage, some_time_after_it_began


@contextmanager
def restart(stage: Stage, prepared: Prepared) -> Iterator[None]:
    """N3: stopped at once, as after a power cut, and started again."""

    def work(attack: Attack) -> None:
        if some_time_after_it_began(attack):
            attack.did("immediate stop of PostgreSQL")
            process = stage.ground.cluster.program.process()
            if process is not None:  # a full disk may have stopped it before
                process.send_signal(signal.SIGQUIT)
                process.wait(20)
            time.sleep(attack.random.uniform(0, 1.5))
            stage.ground.start_again()

    prepared.works.append(work)
    yield


@contextmanager
def terminate(_: Stage, prepared: Prepared) -> Iterator[None]:
    """N4"""

    def work(attack: Attack) -> None:
        which = attack.random.choice(("migration-sidecar:%", "migration-sidecar %", "%"))
        if some_time_after_it_began(attack):
            attack.did(f"pg_terminate_backend of {which}")
            attack.database.rows(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND usename = 'migrator' AND application_name LIKE %s""",
                which,
            )

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
            if attack.until(attack.has_session) and attack.wait(attack.random.uniform(0, 0.8)):
                filler = disk / "filler"
                attack.did("the disk is full")
                _fill(filler)
                time.sleep(attack.random.uniform(0.5, 2))
                filler.unlink(missing_ok=True)
                # A server that crashed meanwhile gives up where it finds no room to recover.
                while attack.wait(0.5):
                    stage.ground.heal()

        prepared.works.append(work)
        yield
    finally:
        stage.ground.leave_disk(stage.database)
        patient(lambda: subprocess.run(["umount", str(disk)], check=True, capture_output=True), "umount")


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
            with (
                suppress(psycopg.OperationalError),  # another trouble took the server away, and the reader with it
                attack.database.address.connect(attack.database.name) as connection,
            ):
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
        if some_time_after_it_began(attack, latest=0.6):
            attack.did("the role may open no more connections")
            attack.database.command("ALTER ROLE migrator CONNECTION LIMIT 1")
            time.sleep(attack.random.uniform(0.5, 2))
            attack.database.command("ALTER ROLE migrator CONNECTION LIMIT -1")

    prepared.works.append(work)
    try:
        yield
    finally:
        stage.database.command("ALTER ROLE migrator CONNECTION LIMIT -1")
