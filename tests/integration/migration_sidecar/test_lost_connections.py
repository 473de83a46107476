"""A connection that breaks decides nothing: the database is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import migration_sidecar.engine.operations.executor
from migration_sidecar.contract.messages import DatabaseState, OperationState
from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.cutting_proxy import HALF_CLOSED, MARK, cutting_proxy
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
from tests.integration.migration_sidecar.sleepers import HELD_UP, SLEEPERS, held_up

TEMPLATES = pytest.mark.parametrize("template", ["generic", "async"])

END_THE_SLEEPER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()
"""

SLEEPS_THE_FIRST_TIME = """
attempts = op.get_bind().exec_driver_sql("SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'attempt'")
op.execute("CREATE TABLE t_a2 (id int)")
if attempts.scalar() == 1:
    op.execute("SELECT pg_sleep(60)")
"""


@TEMPLATES
async def test_a_session_that_is_ended_in_mid_revision_is_tried_again(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment(template)
    environment.revision("a1")
    environment.revision("a2", SLEEPS_THE_FIRST_TIME)
    engine = start_engine(environment)
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, END_THE_SLEEPER))
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
    assert applied(database) == ["a1", "a2"]
    assert kinds(database, done.operation_id) == [
        *("attempt", "started", "applied"),
        *("failed", "attempt", "started", "applied"),
    ]


@TEMPLATES
async def test_a_revision_that_always_ends_its_own_session_fails_at_the_revision_before(
    template: str,
    make_environment: MakeEnvironment,
    start_engine: StartEngine,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migration_sidecar.engine.operations.executor, "MAX_LOST_ATTEMPTS", 2)
    environment = make_environment(template)
    environment.revision("a1")
    suicide = 'op.execute("CREATE TABLE t_a2 (id int)"); op.execute("SELECT pg_terminate_backend(pg_backend_pid())")'
    environment.revision("a2", suicide)
    operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.attempts) == (OperationState.FAILED, 2)
    assert operation.error is not None
    assert operation.error.code == "CM-514"
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    assert lock_is_free(database)


@TEMPLATES
async def test_a_commit_that_breaks_before_it_took_effect_is_tried_again(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """A deferred trigger ends the session while COMMIT is being carried out, the first time."""
    environment = make_environment(template)
    environment.revision(
        "a1",
        """
        op.execute('''CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'attempt') = 1 THEN
              PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NULL; END $$''')
        op.execute("CREATE TABLE t_a1 (id int)")
        op.execute("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t_a1 DEFERRABLE INITIALLY DEFERRED"
                   " FOR EACH ROW EXECUTE FUNCTION breaks()")
        op.execute("INSERT INTO t_a1 VALUES (1)")
        """,
    )
    operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.attempts) == (OperationState.SUCCEEDED, 2)
    assert applied(database) == ["a1"]
    assert rows(database, "SELECT count(*) FROM t_a1") == [(1,)]


@TEMPLATES
async def test_a_commit_whose_answer_is_lost_counts_and_is_never_repeated(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    async with cutting_proxy(database.address.host, database.address.port, cuts=2) as proxy:
        environment = make_environment(template)
        environment.set_url(proxy.url(environment.url))
        environment.revision("a1")
        environment.revision("a2", f'op.execute("CREATE TABLE t_a2 (id int) {MARK}")')
        environment.revision("a3", f'op.execute("CREATE TABLE t_a3 (id int) {MARK}")')
        operation = await carry_out(start_engine(environment))
        assert proxy.cuts_left == 0
    assert operation.state is OperationState.SUCCEEDED
    assert [step.revision for step in operation.applied] == ["a1", "a2", "a3"]
    assert applied(database) == ["a1", "a2", "a3"]
    assert version(database) == ["a3"]
    # The second answer was lost at the last revision: nothing was left to do, so there was no third attempt.
    assert operation.attempts == 2
    assert kinds(database, operation.operation_id).count("failed") == 1


@TEMPLATES
async def test_a_client_whose_last_word_was_half_a_revision_is_tried_again(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    address = database.address
    async with cutting_proxy(address.host, address.port, cuts=1, how=HALF_CLOSED) as proxy:
        environment = make_environment(template)
        environment.set_url(proxy.url(environment.url))
        environment.revision("a1")
        environment.revision("a2", f'op.execute("CREATE TABLE t_a2 (id int) {MARK}")')
        operation = await carry_out(start_engine(environment))
        assert proxy.cuts_left == 0
    assert (operation.state, operation.attempts) == (OperationState.SUCCEEDED, 2)
    assert applied(database) == ["a1", "a2"]


END_THE_SERVICES_OWN = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'migration-sidecar orders'
"""


async def test_a_service_that_loses_its_own_sessions_meanwhile_still_tells_how_it_ended(
    make_environment: MakeEnvironment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    """Among them is the one that claims the operation for this replica."""
    environment = make_environment()
    environment.revision("a1", held_up(tmp_path / "go"))
    engine = start_engine(environment)
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, HELD_UP))
    assert rows(database, END_THE_SERVICES_OWN) != [(0,)]
    (tmp_path / "go").touch()
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 1)
    assert applied(database) == ["a1"]


async def test_a_server_that_restarts_in_mid_revision_is_waited_for(
    tmp_path: Path, make_environment: MakeEnvironment, start_engine: StartEngine
) -> None:
    server = PostgresServer(tmp_path / "own", Address(host=ports.LOOPBACK, port=ports.choose(1)[0]), dies_with_us=True)
    server.start()
    try:
        database = Database("postgres", server.address)
        environment = make_environment(url=database.url)
        environment.revision("a1")
        environment.revision("a2", SLEEPS_THE_FIRST_TIME)
        engine = start_engine(environment)
        accepted = await engine.operations.accept(request())
        await until(lambda: rows(database, SLEEPERS))
        await asyncio.to_thread(server.stop)
        assert (await engine.reader.status()).state is DatabaseState.UNREACHABLE
        assert not (await engine.operations.find(accepted.operation_id)).state.ended
        await asyncio.to_thread(server.start)
        done = await ended(engine, accepted.operation_id)
        assert done.state is OperationState.SUCCEEDED
        assert applied(database) == ["a1", "a2"]
        await engine.close()
    finally:
        server.stop()


SLOW_COMMIT = """
    op.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
               "AS 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END'")
    op.execute("CREATE TABLE t_a1 (id int)")
    op.execute("CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t_a1 DEFERRABLE INITIALLY DEFERRED "
               "FOR EACH ROW EXECUTE FUNCTION slow()")
    op.execute("INSERT INTO t_a1 VALUES (1)")
"""


async def test_a_commit_whose_answer_nobody_waited_for_is_waited_for_before_anything_is_told(
    environment: Environment,
    start_engine: StartEngine,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # Otherwise a server that is busy finds its client gone before the COMMIT is through, and undoes it.
    environment.ini.write_text(environment.ini.read_text() + "client_connection_check_interval = 60s\n")
    environment.revision("a1", SLOW_COMMIT)
    hits = tmp_path / "hits"
    for name, value in (("TEST", "1"), ("FAILPOINTS", "commit_sent:raise@1"), ("FAILPOINTS_LOG", str(hits))):
        monkeypatch.setenv(f"MIGRATION_{name}", value)
    operation = await carry_out(start_engine(environment, own_processes=True))
    assert operation.current_revisions == version(database) == ["a1"]
    assert [each.revision for each in operation.applied] == applied(database) == ["a1"]
    assert "commit_sent" in hits.read_text()
