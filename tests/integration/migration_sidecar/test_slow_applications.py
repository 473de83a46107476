"""An env.py that imports a whole application takes long; whoever asks is answered, and nothing is run twice."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

import migration_sidecar.api.routes
import migration_sidecar.engine.planning.reader
from migration_sidecar.api.app import make_app
from migration_sidecar.contract.errors import EnvironmentStillLoading
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.database.load_deadline import LoadDeadline
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows, version

SLOW = """
import time
from pathlib import Path

with open({log!r}, "a") as log:
    log.write("imported\\n")
while Path({gate!r}).exists():
    time.sleep(0.02)
"""


class Gate:
    """While it is shut, env.py does not get further than its imports."""

    def __init__(self, environment: Environment) -> None:
        self.file, self.log = environment.folder / "shut", environment.folder / "imports.log"
        env = environment.folder / "alembic" / "env.py"
        env.write_text(SLOW.format(log=str(self.log), gate=str(self.file)) + env.read_text())

    def shut(self) -> None:
        self.file.touch()

    def open(self) -> None:
        self.file.unlink()

    @property
    def imports(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


def touched(environment: Environment) -> None:
    env = environment.folder / "alembic" / "env.py"
    env.write_text(env.read_text() + "\n# changed\n")


@pytest.fixture
def gate(environment: Environment) -> Gate:
    environment.revision("a1")
    return Gate(environment)


@asynccontextmanager
async def endpoint(environment: Environment) -> AsyncIterator[httpx.AsyncClient]:
    application = make_app(environment.ini, settings=environment.settings(MIGRATE_ON_STARTUP="off"))
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
    ):
        yield client


async def test_the_endpoint_answers_that_it_still_loads_and_then_the_plan(
    environment: Environment, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_sidecar.api.routes, "LONGEST_LOADING_SECONDS", 1.0)
    gate.shut()
    async with endpoint(environment) as client:
        async with asyncio.timeout(30):
            plan = await client.get("/migrations/plan")
            operation = await client.post("/migrations/operations", json={"operation_id": "op-1", "target": "head"})
            found = await client.get("/migrations/operations/op-1")
            cancelled = await client.delete("/migrations/operations/op-1")
            status = await client.get("/migrations")
            assert (await client.get("/readyz")).status_code == 200  # it is not to be checked here
        for refusal in (plan, operation, found, cancelled):
            assert (refusal.status_code, refusal.json()["code"], refusal.json()["retryable"]) == (503, "CM-308", True)
        assert (status.status_code, status.json()["error"]["code"]) == (200, "CM-308")
        assert status.json()["state"] == "empty"

        gate.open()
        async with asyncio.timeout(60):
            while (plan := await client.get("/migrations/plan")).status_code == 503:
                await asyncio.sleep(0.05)
        assert [step["id"] for step in plan.json()["revisions"]] == ["a1"]
    assert gate.imports == 1


async def test_one_loading_is_shared_by_all_who_wait_for_it(engine: Engine, gate: Gate) -> None:
    gate.shut()
    asking = [asyncio.create_task(engine.reader.status()) for _ in range(5)]
    await asyncio.sleep(1)
    gate.open()
    assert {status.head_revisions[0] for status in await asyncio.gather(*asking)} == {"a1"}
    assert gate.imports == 1


async def test_an_operation_outlasts_the_patience_of_the_request_that_began_it(
    engine: Engine, environment: Environment, gate: Gate, database: Database
) -> None:
    await engine.reader.plan(Action.UPGRADE, "head")
    async with engine.operations._turn:
        accepted = await engine.operations.accept(request(), loading=LoadDeadline.after(1))
        gate.shut()
        touched(environment)
        await asyncio.sleep(1)
    await asyncio.sleep(0.5)
    gate.open()
    operation = await engine.operations.find(accepted.operation_id, wait_seconds=30)
    assert operation.state is OperationState.SUCCEEDED


async def test_a_status_tells_what_it_read_before_while_a_changed_env_py_is_loaded(
    engine: Engine, environment: Environment, gate: Gate, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carry_out(engine)
    monkeypatch.setattr(migration_sidecar.engine.planning.reader, "REFRESH_SECONDS", 0.5)
    gate.shut()
    touched(environment)
    environment.revision("a2")

    status = await engine.reader.status()  # it would not end before the gate is open
    assert (status.state, status.head_revisions) == (DatabaseState.AT_HEAD, ["a1"])
    assert status.error is not None
    assert status.error.code == "CM-308"
    with pytest.raises(EnvironmentStillLoading):
        await engine.reader.plan(Action.UPGRADE, "head", LoadDeadline.after(0.5))

    gate.open()
    assert [step.id for step in (await engine.reader.plan(Action.UPGRADE, "head")).revisions] == ["a2"]
    assert (await engine.reader.status()).state is DatabaseState.BEHIND
    assert version(database) == ["a1"]


async def test_a_changed_revision_file_does_not_run_env_py_again(
    engine: Engine, environment: Environment, gate: Gate
) -> None:
    await engine.reader.status()
    environment.revision("a2")
    assert (await engine.reader.status()).head_revisions == ["a2"]
    assert gate.imports == 1


async def test_an_env_py_that_never_ends_is_ended_and_its_line_named_once(
    environment: Environment, gate: Gate, start_engine: StartEngine
) -> None:
    environment.ini.write_text(environment.ini.read_text() + "loading_seconds = 2\n")
    gate.shut()
    engine = start_engine(environment)
    problem = (await engine.reader.status()).error
    assert problem is not None
    assert problem.code == "CM-407"
    assert "env.py:8" in problem.detail
    for _ in range(20):
        assert (await engine.reader.status()).error == problem
    assert gate.imports == 1


def test_the_command_line_waits_says_so_and_imports_the_application_twice(
    environment: Environment, gate: Gate, database: Database
) -> None:
    gate.shut()
    program = str(Path(sys.executable).with_name("migration-sidecar"))
    words = [program, "upgrade", "--json", "-c", str(environment.ini)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as upgrade:
        assert upgrade.stderr is not None
        assert "Waiting for env.py" in upgrade.stderr.readline()
        gate.open()
        out, _ = upgrade.communicate(timeout=60)
    assert json.loads(out)["state"] == "succeeded"
    assert version(database) == ["a1"]
    assert gate.imports == 2  # to look, and to migrate


def test_ctrl_c_while_env_py_is_loaded_ends_the_command_and_changes_nothing(
    environment: Environment, gate: Gate, database: Database
) -> None:
    gate.shut()
    program = str(Path(sys.executable).with_name("migration-sidecar"))
    words = [program, "upgrade", "-c", str(environment.ini)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as upgrade:
        assert upgrade.stderr is not None
        assert "Waiting for env.py" in upgrade.stderr.readline()
        upgrade.send_signal(signal.SIGINT)
        _, errors = upgrade.communicate(timeout=60)
    assert (upgrade.returncode, errors) == (130, "Stopped.\n")
    assert rows(database, "SELECT to_regclass('alembic_version')") == [(None,)]
