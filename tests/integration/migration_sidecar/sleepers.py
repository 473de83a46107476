"""Revisions that are caught in the middle, and how a test notices that something waits."""

from __future__ import annotations

from pathlib import Path

from migration_sidecar.contract.messages import Operation
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import rows, until

SLEEPERS = """SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
              AND datname = current_database() AND pid <> pg_backend_pid()"""

HELD_UP = """SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 815
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def held_up(go: Path) -> str:
    """Tells by a lock how far it is, and goes on when the test has written the file."""
    return f"""
import pathlib, time
op.execute("SELECT pg_advisory_xact_lock(815)")
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.02)
"""


def sleeps_the_first_time(marker: Path) -> str:
    return f"""
        import os, pathlib
        marker = pathlib.Path({str(marker)!r})
        op.execute("CREATE TABLE t_a2 (id int)")
        if not marker.exists():
            pathlib.Path({str(marker.with_suffix(".part"))!r}).write_text(str(os.getpid()))
            os.replace({str(marker.with_suffix(".part"))!r}, marker)
            op.execute("SELECT pg_sleep(60)")
    """


async def pid_of_the_sleeper(marker: Path, database: Database) -> int:
    await until(lambda: marker.exists() and rows(database, SLEEPERS))
    return read_pid(marker)


def read_pid(marker: Path) -> int:
    return int(marker.read_text())


async def waits(engine: Engine, operation_id: str) -> Operation | None:
    operation = await engine.operations.find(operation_id)
    return operation if operation.waiting_for else None
