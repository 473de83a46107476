"""Whatever a revision or an env.py does to its own process harms nobody else, and is called by its name."""

from __future__ import annotations

import signal
from pathlib import Path
from time import monotonic

import psutil
import pytest

import migration_sidecar.engine.operations.executor
from migration_sidecar.contract.messages import Operation, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    kinds,
    lock_is_free,
    rows,
    tables,
    until,
    version,
)

AS_FAST_AS_EVER_SECONDS = 2.0
MAKES_T_A2 = 'op.execute("CREATE TABLE t_a2 (id int)")'


async def failed_at_a1(engine: Engine, database: Database, code: str) -> Operation:
    """The second of two revisions did something; one attempt was enough to know."""
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.attempts) == (code, 1)
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    await until(lambda: lock_is_free(database))
    return operation


@pytest.mark.parametrize("code", [0, 3])
async def test_a_revision_that_exits_is_named_and_not_tried_again(
    code: int, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f"{MAKES_T_A2}\nimport os; os._exit({code})")
    operation = await failed_at_a1(engine, database, "CM-401")
    assert operation.error is not None
    assert operation.error.revision == "a2"
    assert f"Revision a2 ended its own process with exit code {code}" in operation.error.detail
    assert kinds(database, operation.operation_id) == ["attempt", "started", "applied", "failed"]


async def test_a_revision_that_exits_after_a_commit_of_its_own_needs_a_person(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f'{MAKES_T_A2}\nop.execute("COMMIT")\nimport os; os._exit(0)')
    operation = await carry_out(engine)
    assert operation.state is OperationState.NEEDS_ATTENTION
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-402", "a2")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_process_that_is_always_killed_is_tried_five_times(
    number: signal.Signals,
    engine: Engine,
    environment: Environment,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the platform does it when memory runs out: it may pass, so it is not the revision's fault."""
    monkeypatch.setattr(migration_sidecar.engine.operations.executor, "uniform", lambda *_: 0.05)
    environment.revision("a1")
    environment.revision("a2", f"{MAKES_T_A2}\nimport os; os.kill(os.getpid(), {int(number)})")
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.attempts) == ("CM-514", 5)
    assert version(database) == ["a1"]
    assert tables(database) == {"t_a1"}


async def test_a_revision_that_wants_all_memory_gets_an_error_and_the_service_keeps_its_own(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f"{MAKES_T_A2}\nhog = [bytearray(1 << 26) for _ in range(40)]")
    operation = await failed_at_a1(engine, database, "CM-401")
    assert operation.error is not None
    assert "MemoryError" in operation.error.detail


async def test_a_hundred_megabytes_of_prints_reach_nobody(
    engine: Engine, environment: Environment, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    before = psutil.Process().memory_info().rss
    floods = "import sys\nfor _ in range(100): print('x' * (1 << 20)); sys.stderr.write('y' * 1000)"
    environment.revision("a1", f'op.execute("CREATE TABLE t_a1 (id int)")\n{floods}')
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    captured = capfd.readouterr()
    assert "xxx" not in captured.out
    assert "yyy" not in captured.err
    assert psutil.Process().memory_info().rss - before < 20 << 20


async def test_a_revision_that_forks_leaves_nobody_behind_who_could_go_on(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f"{MAKES_T_A2}\nimport os\nif os.fork() == 0: os._exit(0)\nos.wait()")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert applied(database) == ["a1", "a2"]


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def is_idle(pid: int) -> bool:
    """Every process it forked was reaped, and it waits in select: only then do its descriptors count."""
    forkserver = psutil.Process(pid)
    return not forkserver.children() and forkserver.status() == psutil.STATUS_SLEEPING


def breaks(environment: Environment, statement: str, where: str = "def run_migrations_online") -> None:
    """Into env.py as Alembic makes it, at its beginning or where it begins to work."""
    env = environment.folder / "alembic" / "env.py"
    text = env.read_text()
    if where == "the beginning":
        env.write_text(f"{statement}\n{text}")
        return
    head, tail = text.split(f"{where}() -> None:\n", 1)
    env.write_text(f"{head}{where}() -> None:\n    {statement}\n{tail}")


ENDINGS = {
    "exits": "import os; os._exit(0)",
    "raises SystemExit": "raise SystemExit(0)",
    "raises BaseException": "raise BaseException('no')",
    "wants all memory": "hog = [bytearray(1 << 26) for _ in range(40)]",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_an_environment_that_ends_itself_is_told_as_such(
    ending: str, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    environment.revision("a2")
    breaks(
        environment,
        f"if context.get_x_argument() is not None and not context._proxy.context_opts.get('dont_mutate'): {ending}",
    )
    operation = await failed_at_a1(engine, database, "CM-407")
    assert operation.error is not None
    assert operation.error.revision is None


async def test_an_environment_that_never_ends_is_ended_at_the_deadline(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    environment.revision("a2")
    breaks(environment, "while not context._proxy.context_opts.get('dont_mutate'): pass")
    operation = await carry_out(engine, deadline_seconds=1)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "CM-403"


async def test_an_environment_that_prints_without_end_still_migrates(
    engine: Engine, environment: Environment, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    environment.revision("a1")
    breaks(environment, "for _ in range(100): print('x' * (1 << 20))", "the beginning")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert "xxx" not in capfd.readouterr().out


async def seconds_of_an_operation(engine: Engine) -> float:
    begun = monotonic()
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    return monotonic() - begun


async def test_after_every_kind_of_ending_the_next_operation_is_as_fast_as_ever(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """Nothing that a revision does to its process reaches the process that forks."""
    engine = start_engine(environment, own_processes=True)
    environment.revision("a0")
    await carry_out(engine)
    environment.revision("a1")
    before = await seconds_of_an_operation(engine)
    server = engine.forkserver.pid
    assert server is not None
    await until(lambda: is_idle(server))
    files = descriptors(server)
    for body in ("import os; os._exit(1)", "raise SystemExit(3)", "bytearray(1 << 40)", "raise KeyboardInterrupt"):
        environment.revision("a2", body, below="a1")
        assert (await carry_out(engine)).state is OperationState.FAILED
    assert engine.forkserver.pid == server
    await until(lambda: is_idle(server))
    assert descriptors(server) == files
    environment.revision("a2", below="a1")
    assert await seconds_of_an_operation(engine) < max(AS_FAST_AS_EVER_SECONDS, 10 * before)
    assert rows(database, "SELECT to_regclass('t_a2') IS NOT NULL") == [(True,)]
    assert Path(f"/proc/{server}").exists()
