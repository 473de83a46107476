"""What goes wrong in a revision or around it has one code, one sentence and one next step, by endpoint and by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

import migration_sidecar.engine.engine
from migration_sidecar.api.app import make_app
from migration_sidecar.cli import app
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, lock_is_free, rows, until, version

ORDERS = 'op.execute("CREATE TABLE orders (id int)"); op.execute("INSERT INTO orders VALUES (1), (1)")'
MAKES = 'op.execute("CREATE TABLE t_a2 (id int)")'


@dataclass(frozen=True)
class Row:
    """One row of the table of bad inputs."""

    revision: str
    code: str
    says: str  # in the sentence or in what to do next
    state: str = "failed"
    exit_code: int = 1
    sqlstate: str | None = None
    in_the_way: bool = False  # somebody reads the table meanwhile


SWALLOWS = f"""
{MAKES}
try:
    op.execute("SELECT nonsense")
except Exception:
    pass
op.execute("SELECT 1")
"""
UNIQUE = """
with op.get_context().autocommit_block():
    op.create_index("ix_orders", "orders", ["id"], unique=True, postgresql_concurrently=True)
"""
HALF = f"""
with op.get_context().autocommit_block():
    {MAKES}
    op.execute("SELECT 1/0")
"""
RUNS_OUT = "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{}'; END $$"
ROWS = {
    "B14 raises": Row(f"{MAKES}\nraise ValueError('no')", "CM-401", "Revision a2 stopped with ValueError"),
    "B14 fails": Row(f'{MAKES}\nop.execute("SELECT 1/0")', "CM-401", "DivisionByZero", sqlstate="22012"),
    "B14 ends its process": Row(f"{MAKES}\nimport os; os._exit(0)", "CM-401", "exit code 0"),
    "B14 SystemExit": Row(f"{MAKES}\nraise SystemExit(0)", "CM-401", "SystemExit"),
    "B14 swallows a failed statement": Row(SWALLOWS, "CM-401", "Revision a2", sqlstate="25P02"),
    "B15 COMMIT": Row(f'{MAKES}\nop.execute("COMMIT")\nraise ValueError', "CM-402", "committed", "needs_attention", 4),
    "B17 a lock": Row('op.execute("DROP TABLE orders")', "CM-404", "table orders, held by pid", in_the_way=True),
    "B18 half": Row(HALF, "CM-405", "a part of it may exist", "needs_attention", 4),
    "B18 unique": Row(UNIQUE, "CM-405", "DROP INDEX CONCURRENTLY public.ix_orders", "needs_attention", 4),
    "B22 disk full": Row(f'op.execute("{RUNS_OUT.format(53100)}")', "CM-532", "disk space", sqlstate="53100"),
    "B22 out of memory": Row(f'op.execute("{RUNS_OUT.format(53200)}")', "CM-532", "memory", sqlstate="53200"),
}
ALL = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


@pytest.fixture(autouse=True)
def shared(shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)


@pytest.fixture
def at_a1(environment: Environment, database: Database) -> Environment:
    environment.ini.write_text(environment.ini.read_text() + "patience_seconds = 1\n")
    environment.revision("a1", ORDERS)
    by_hand(environment)
    assert version(database) == ["a1"]
    return environment


def by_hand(environment: Environment) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["upgrade", "head", "--json", "--config", str(environment.ini)])
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
async def endpoint(at_a1: Environment) -> AsyncIterator[httpx.AsyncClient]:
    service = make_app(at_a1.ini, settings=at_a1.settings(MIGRATE_ON_STARTUP="check"))
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
    ):
        yield client


@contextmanager
def reader(database: Database, row: Row) -> Iterator[None]:
    with closing(psycopg.connect(database.url, application_name="report")) as connection:
        if row.in_the_way:
            connection.execute("SELECT count(*) FROM orders")
        yield


def told(operation: dict[str, Any], row: Row, revision: str | None = "a2") -> None:
    error = operation["error"]
    assert (operation["state"], error["code"]) == (row.state, row.code), error
    assert row.says in f"{error['detail']} {error['next_step']}"
    assert error.get("sqlstate") == row.sqlstate or row.sqlstate is None
    assert error.get("revision") == revision
    assert operation["current_revisions"] == ["a1"]
    assert "Traceback" not in json.dumps(operation)


async def stands_at_a1(database: Database) -> None:
    assert version(database) == ["a1"]
    assert rows(database, "SELECT count(*)::int FROM orders") == [(2,)]
    await until(lambda: lock_is_free(database))


@ALL
async def test_by_endpoint(row: Row, at_a1: Environment, endpoint: httpx.AsyncClient, database: Database) -> None:
    at_a1.revision("a2", row.revision)
    with reader(database, row):
        answer = await endpoint.post(
            "/migrations/operations",
            params={"wait_seconds": 20},
            json={"operation_id": "wrong", "target": "head"},
        )
        assert answer.status_code == 202, answer.text
        told(answer.json(), row)
    await stands_at_a1(database)
    assert (await endpoint.get("/migrations")).json()["last_outcome"]["error"]["code"] == row.code


@ALL
def test_by_hand(row: Row, at_a1: Environment, database: Database) -> None:
    at_a1.revision("a2", row.revision)
    with reader(database, row):
        exit_code, operation = by_hand(at_a1)
    assert exit_code == row.exit_code
    told(operation, row)
    assert version(database) == ["a1"]


HANGS = {"a loop": "while True: pass", "a statement": 'op.execute("SELECT pg_sleep(1000000)")'}


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS.keys())
async def test_what_hangs_is_ended_at_its_deadline(
    body: str, at_a1: Environment, endpoint: httpx.AsyncClient, database: Database
) -> None:
    """B16; by hand there is no deadline, but Ctrl-C."""
    at_a1.revision("a2", f"{MAKES}\n{body}")
    answer = await endpoint.post(
        "/migrations/operations",
        params={"wait_seconds": 20},
        json={"operation_id": "hangs", "target": "head", "deadline_seconds": 1},
    )
    told(answer.json(), Row(body, "CM-403", "within 1 s"), revision=None)
    await stands_at_a1(database)


async def test_a_database_that_takes_no_writes_is_refused_at_both_doors(
    at_a1: Environment, endpoint: httpx.AsyncClient, database: Database
) -> None:
    """B21, before anything is touched."""
    at_a1.revision("a2", MAKES)
    with database.connect() as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(f"{ended} AND pid <> pg_backend_pid()")
    answer = await endpoint.post("/migrations/operations", json={"operation_id": "written", "target": "head"})
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-521")
    exit_code, problem = await asyncio.to_thread(by_hand, at_a1)
    assert (exit_code, problem["code"]) == (3, "CM-521")
    await stands_at_a1(database)
