"""A migrator that is stopped or cut off is shut out by the server, and whoever comes next finds the truth."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.cutting_proxy import DEAF, MARK, cutting_proxy
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    lock_is_free,
    request,
    rows,
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import SLEEPERS, read_pid
from tests.integration.migration_sidecar.troubled_servers import database_of, running, server_in

SHORT_GUARDS = """
idle_in_transaction_session_timeout = 2s
idle_session_timeout = 3s
tcp_user_timeout = 2s
client_connection_check_interval = 500ms
"""

PAUSES = """
    import os, pathlib, time
    op.execute("CREATE TABLE t_a2 (id int)")
    marker = pathlib.Path({marker!r})
    if not marker.exists():
        marker.write_text(str(os.getpid()))
        while not marker.with_suffix(".on").exists():  # it is stopped before it may go on
            time.sleep(0.02)
    op.execute("CREATE TABLE t_a2_too (id int)")
"""


def with_short_guards(environment: Environment) -> Environment:
    environment.ini.write_text(environment.ini.read_text() + SHORT_GUARDS)
    return environment


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_migrator_that_is_stopped_is_fenced_and_changes_nothing_when_it_goes_on(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment = with_short_guards(make_environment(template))
    environment.revision("a1")
    environment.revision("a2", PAUSES.format(marker=str(marker)))
    first, second = start_engine(environment), start_engine(environment)
    accepted = await first.operations.accept(request())
    stopped = read_pid(await until(lambda: marker if marker.exists() and marker.read_text() else None))
    os.kill(stopped, signal.SIGSTOP)
    try:
        done = await carry_out(second)
        assert done.state is OperationState.SUCCEEDED
        assert applied(database) == ["a1", "a2"]
    finally:
        marker.with_suffix(".on").touch()
        os.kill(stopped, signal.SIGCONT)
    late = await ended(first, accepted.operation_id)
    assert late.state is OperationState.SUCCEEDED  # what it was to bring about is there
    assert applied(database) == ["a1", "a2"]
    assert kinds(database, accepted.operation_id).count("applied") == 1
    assert tables(database) == {"t_a1", "t_a2", "t_a2_too"}
    assert lock_is_free(database)


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_connection_that_swallows_everything_frees_the_lock_and_is_tried_again(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """Both ends believe in it; only the clocks of the server tell that nobody is there."""
    async with cutting_proxy(database.address.host, database.address.port, cuts=1, how=DEAF) as proxy:
        environment = with_short_guards(make_environment(template))
        environment.set_url(proxy.url(environment.url))
        with_short_guards(environment)
        environment.revision("a1")
        environment.revision("a2", f'op.execute("CREATE TABLE t_a2 (id int) {MARK}")')
        accepted = await start_engine(environment).operations.accept(request(deadline_seconds=15))
        await until(lambda: proxy.cuts_left == 0)
        await until(lambda: lock_is_free(database))
        assert version(database) == ["a1"]
        assert tables(database) == {"t_a1"}
        done = await carry_out(start_engine(environment))
        assert done.state is OperationState.SUCCEEDED
        assert applied(database) == ["a1", "a2"]
        late = await until(partial(end_of, start_engine(environment), accepted.operation_id))
        assert late in (OperationState.SUCCEEDED, OperationState.FAILED)


async def end_of(engine: Engine, operation_id: str) -> OperationState | None:
    found = (await engine.operations.find(operation_id)).state
    return found if found.ended else None


ENDS = {
    "one backend is killed": lambda server, pid: os.kill(pid, signal.SIGKILL),
    "the server stops at once": lambda server, pid: os.kill(_postmaster(server), signal.SIGQUIT),
}


def _postmaster(server: PostgresServer) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def is_gone(pid: int) -> bool:
    """Nobody reaps a postmaster that this program started."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ENDS.values(), ids=ENDS.keys())
async def test_a_server_that_breaks_in_mid_revision_is_waited_for_and_then_asked(
    how, tmp_path: Path, make_environment: MakeEnvironment, start_engine: StartEngine
) -> None:  # type: ignore[no-untyped-def]
    with running(server_in(tmp_path / "own", durable=True)) as server:
        database = database_of(server)
        environment = make_environment(url=database.url)
        environment.revision("a1")
        attempts = "SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'attempt'"
        environment.revision(
            "a2",
            f"""
            first = op.get_bind().exec_driver_sql("{attempts}").scalar() == 1
            op.execute("CREATE TABLE t_a2 (id int)")
            if first:
                op.execute("SELECT pg_sleep(60)")
            """,
        )
        engine = start_engine(environment)
        accepted = await engine.operations.accept(request())
        ((pid,),) = await until(lambda: rows(database, SLEEPERS))
        broken = _postmaster(server) if how is ENDS["the server stops at once"] else pid
        how(server, pid)
        await until(lambda: is_gone(broken))
        await asyncio.to_thread(server.start)
        done = await ended(engine, accepted.operation_id)
        assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
        assert applied(database) == ["a1", "a2"]
        await engine.close()
