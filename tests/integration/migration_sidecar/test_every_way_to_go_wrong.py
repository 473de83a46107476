"""What goes wrong in a revision or around it has one code, one sentence and one next step, by endpoint and by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

import migration_sidecar.engine
from migration_sidecar.cli import app
from migration_sidecar.service import make_app
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
}
ALL = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


@pytest.fixture(autouse=True)
def shared(shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration_sidecar.engine, "WarmProcesses", lambda *_: shared_processes)


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
        httpx.AsyncClient(transport=transport, base_url="http://orders", timeout=40) as client,
    ):
        yield client


@contextmanager
def reader(database: Database, row: Row) -> Iterator[None]:
    with closing(psycopg.connect(database.url, application_name="report")) as connection:
        if row.in_the_way:
            connection.execute("SELECT count(*) FROM orders")
        yield


def told(operation: dict[str, Any], row: Row) -> None:
    error = operation["error"]
    assert (operation["state"], error["code"]) == (row.state, row.code), error
    assert row.says in f"{error['detail']} {error['next_step']}"
    assert error.get("sqlstate") == row.sqlstate or row.sqlstate is None
    assert error["revision"] == "a2"
    assert operation["current_revisions"] == ["a1"]
    assert "Traceback" not in json.dumps(operation)


async def stands_at_a1(database: Database) -> None:
    assert version(database) == ["a1"]
    assert rows(database, "SELECT count(*)::int FROM orders") == [(2,)]
    await until(lambda: lock_is_free(database), within=5)


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
