"""One process per job, forked from a warm one: what it does harms only itself, and its end is always told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.jobs import InspectJob, Job, MigrateJob, ProbeJob
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, tables, until, version


def inspect_job(engine: Engine) -> InspectJob:
    return {"kind": "inspect", "seconds": 10, "folders": [], **engine.settings.job_environment}


def probe_job(engine: Engine) -> ProbeJob:
    return {
        "kind": "look",
        "action": "upgrade",
        "target": "head",
        "is_exact": True,
        "seconds": 0,
        **engine.settings.job_environment,
    }


def upgrade_job(engine: Engine) -> MigrateJob:
    return {"kind": "migrate", "action": "upgrade", "target": "head", **engine.settings.job_environment}


async def ends_of(engine: Engine, job: Job, *, kill: bool = False) -> list[Any]:
    """Every report of one process."""
    async with engine.forkserver.run(job) as process:
        if kill:
            await process.kill()
        return [report async for report in process.reports()]


async def test_the_end_of_a_process_is_its_last_report(environment: Environment, engine: Engine) -> None:
    environment.revision("one")
    *_, done, end = await ends_of(engine, inspect_job(engine))

    assert done["event"] == "done"
    assert end == {"event": "exited", "code": 0, "signal": None}


async def test_a_process_that_was_killed_says_by_what(environment: Environment, engine: Engine) -> None:
    job = upgrade_job(engine)
    (*_, end) = await ends_of(engine, job, kill=True)

    assert end == {"event": "exited", "code": None, "signal": signal.SIGKILL}


async def test_half_a_line_of_a_process_that_died_is_passed_over(environment: Environment, engine: Engine) -> None:
    env = environment.folder / "alembic" / "env.py"
    half = """os.write(fd, b'{"event": "half')"""
    env.write_text(f"import os\nfor fd in range(3, 64):\n    try: {half}\n    except OSError: pass\nos._exit(7)\n")
    reports = await ends_of(engine, probe_job(engine))

    assert [report["event"] for report in reports] == ["looking", "exited"]
    assert reports[-1]["code"] == 7


async def test_a_job_is_given_to_another_forkserver_where_the_first_has_just_died(
    environment: Environment, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("one")
    engine = start_engine(environment, own_processes=True)
    await engine.forkserver.start()
    launched, pid = engine.forkserver._launched, engine.forkserver.pid
    assert launched is not None
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(launched.process, "poll", lambda: None)  # nobody has noticed yet
    *_, done, _ = await ends_of(engine, inspect_job(engine))

    assert done["event"] == "done"
    assert engine.forkserver.pid != pid


async def test_the_end_of_one_process_is_told_while_others_run(environment: Environment, engine: Engine) -> None:
    environment.revision("one")
    job = upgrade_job(engine)
    async with engine.forkserver.run(job) as first, engine.forkserver.run(job) as second:
        await first.kill()
        async with asyncio.timeout(60):
            assert [report async for report in first.reports()][-1]["signal"] == signal.SIGKILL
        assert not second.has_exited


async def test_no_process_is_left_unreaped(environment: Environment, start_engine: StartEngine) -> None:
    engine = start_engine(environment, own_processes=True)
    for _ in range(3):
        await ends_of(engine, inspect_job(engine))
    server = engine.forkserver.pid
    children = Path(f"/proc/{server}/task/{server}/children")
    await until(lambda: children.read_text() == "")
    assert len(list(Path(f"/proc/{server}/fd").iterdir())) < 12


async def test_a_revision_that_takes_all_memory_harms_only_itself(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.ini.write_text(environment.ini.read_text() + "memory_limit_mb = 700\n")
    environment.revision("one")
    environment.revision("two", "hog = [bytes(1 << 20) for _ in range(1 << 14)]")
    operation = await carry_out(start_engine(environment))

    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-401", "two")
    assert "MemoryError" in operation.error.detail
    assert version(database) == ["one"]


USES = "hog.append(bytearray(b'x' * (1 << 20)))"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (f"for _ in range(300): {USES}\ntime.sleep(60)", "MemoryError"),
        (f"for _ in range(300):\n    try: {USES}\n    except MemoryError: pass\ntime.sleep(60)", "and was ended"),
    ],
    ids=["stops", "goes on"],
)
async def test_memory_that_is_used_is_limited_and_the_setting_is_named(
    body: str, cause: str, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.ini.write_text(environment.ini.read_text() + "memory_limit_mb = 200\n")
    environment.revision("one")
    environment.revision("two", "import time\nhog = []\n" + body)
    operation = await carry_out(start_engine(environment))

    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-401", "two")
    assert cause in operation.error.detail
    assert "memory_limit_mb" in operation.error.next_step
    assert version(database) == ["one"]


async def test_memory_that_is_only_reserved_is_no_matter(environment: Environment, start_engine: StartEngine) -> None:
    environment.ini.write_text(environment.ini.read_text() + "memory_limit_mb = 700\n")
    reserve = "import mmap\narena = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
    environment.revision("one", reserve)
    assert (await carry_out(start_engine(environment))).state is OperationState.SUCCEEDED


async def test_an_env_py_that_takes_all_memory_is_named(environment: Environment, start_engine: StartEngine) -> None:
    environment.ini.write_text(environment.ini.read_text() + "memory_limit_mb = 700\n")
    environment.revision("one")
    (environment.folder / "alembic" / "env.py").write_text("hog = [bytes(1 << 20) for _ in range(1 << 14)]\n")
    status = await start_engine(environment).reader.status()

    assert status.error is not None
    assert status.error.code == "CM-407"
    assert "MemoryError" in status.error.detail


async def test_a_revision_has_no_standard_input_and_a_session_with_the_name_of_its_operation(
    environment: Environment, start_engine: StartEngine
) -> None:
    name = 'op.get_bind().exec_driver_sql("SHOW application_name").scalar()'
    environment.revision("one", f"import sys\nraise RuntimeError(str(len(sys.stdin.read())) + ' for ' + {name})")
    operation = await carry_out(start_engine(environment, own_processes=True))
    assert operation.error is not None
    assert operation.error.server_message == f"0 for migration-sidecar:{operation.operation_id}"


async def test_what_a_revision_prints_goes_nowhere(
    environment: Environment, start_engine: StartEngine, capfd: Any
) -> None:
    environment.revision("one", "print('x' * 100_000_000, flush=True)")
    engine = start_engine(environment, own_processes=True)

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert capfd.readouterr().out.count("x" * 80) == 0


async def test_a_revision_that_was_replaced_is_never_taken_from_its_compiled_file(
    environment: Environment, engine: Engine, database: Database
) -> None:
    """Python believes a compiled file whose source has the same size and the same second."""
    same = 1_700_000_000
    file = environment.revision("one", 'op.execute("CREATE TABLE t_old (id int)")')
    os.utime(file, (same, same))
    compiled(file)
    environment.last = None
    environment.revision("one", 'op.execute("CREATE TABLE t_new (id int)")')
    os.utime(file, (same, same))

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert tables(database) == {"t_new"}


async def test_so_is_a_module_that_env_py_imports(environment: Environment, engine: Engine, database: Database) -> None:
    same = 1_700_000_000
    env = environment.folder / "alembic" / "env.py"
    env.write_text(
        "import words\n" + env.read_text().replace("run_migrations_online()\n", "run_migrations_online()\n", 1)
    )
    environment.revision("one", "import words; op.execute(f\"COMMENT ON SCHEMA public IS '{words.WORD}'\")")
    module = environment.folder / "words.py"
    for word in ("old", "new"):
        module.write_text(f"WORD = {word!r}\n")
        os.utime(module, (same, same))
        if word == "old":
            compiled(module)

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT obj_description('public'::regnamespace)") == [("new",)]


def compiled(file: Path) -> None:
    import py_compile

    assert py_compile.compile(str(file), doraise=True) is not None
    assert sys.implementation.cache_tag in str(next((file.parent / "__pycache__").glob(f"{file.stem}.*")))
