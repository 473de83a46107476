"""Ctrl-C in a shell: the database is at a whole revision, nothing is left to others, and the answer says so."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import psycopg
import pytest

from migration_sidecar.cli import migrate_commands
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.database.operations_table import OperationsTable
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, kinds, request, rows, tables, version

COMMAND = [sys.executable, "-c", "from migration_sidecar.cli import main; main()"]


def test_ctrl_c_cancels(environment: Environment, database: Database) -> None:
    environment.revision("a1")
    environment.revision("a2", 'op.execute("SELECT pg_sleep(60)")')
    sleeping = """SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
                  AND datname = current_database() AND pid <> pg_backend_pid()"""
    process = subprocess.Popen(
        [*COMMAND, "upgrade", "head", "-c", str(environment.ini)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process, closing(psycopg.connect(database.url, autocommit=True)) as watcher:
        while watcher.execute(sleeping).fetchone() == (0,):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        while watcher.execute(sleeping).fetchone() != (0,):  # it would sleep for a minute
            time.sleep(0.02)
    assert process.returncode == 130
    assert b"orders: cancelled, at a1\n" in output
    assert b"Migrate again when it should go on." in errors
    assert b"Traceback" not in output + errors
    assert version(database) == ["a1"]
    ((operation,),) = rows(database, "SELECT operation_id FROM migration_sidecar.operations")
    assert kinds(database, operation) == ["attempt", "started", "applied", "cancelled"]
    assert rows(database, "SELECT state FROM migration_sidecar.operations") == [("cancelled",)]


async def test_ctrl_c_before_the_answer_leaves_nothing_for_the_next_replica(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1")
    engine, wanted = start_engine(environment), request()
    store = OperationsTable.accept

    async def stored_and_interrupted(*arguments: Any) -> None:
        await store(*arguments)
        command.cancel()
        await asyncio.sleep(60)

    monkeypatch.setattr(OperationsTable, "accept", stored_and_interrupted)
    command = asyncio.create_task(migrate_commands._execute(engine, wanted))
    operation, interrupted = await command
    assert interrupted
    assert operation.state is OperationState.CANCELLED
    assert rows(database, "SELECT state FROM migration_sidecar.operations") == [("cancelled",)]
    assert tables(database) == set()
