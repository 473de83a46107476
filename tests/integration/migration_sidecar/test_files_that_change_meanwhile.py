"""An operation is judged by what was agreed when it was accepted, whatever becomes of the revision files meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migration_sidecar.contract.messages import Action, Operation, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.lock_key import lock_key
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    request,
    rows,
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import HELD_UP, held_up

KEY = tuple(lock_key("alembic_version", "").values())


def makes_a_table_and_waits(revision: str, go: Path) -> str:
    return f'op.execute("CREATE TABLE t_{revision} (id int)")\n{held_up(go)}'


Meanwhile = Callable[..., Awaitable[Operation]]


@pytest.fixture
def while_one_runs(engine: Engine, database: Database, tmp_path: Path) -> Meanwhile:
    """Accepts an operation whose first revision waits, changes the files, and gives the end."""

    async def run(change: Callable[[], object], **wanted: object) -> Operation:
        if wanted.pop("agreed", False):
            plan = await engine.reader.plan(Action.UPGRADE, str(wanted.get("target", "head")))
            wanted["plan_digest"] = plan.digest
        accepted = await engine.operations.accept(request(**wanted))  # type: ignore[arg-type]
        await until(lambda: rows(database, HELD_UP))
        change()
        (tmp_path / "go").touch()
        return await ended(engine, accepted.operation_id)

    return run


@pytest.fixture
def a1_waits(environment: Environment, tmp_path: Path) -> Environment:
    environment.revision("a1", makes_a_table_and_waits("a1", tmp_path / "go"))
    return environment


@pytest.mark.parametrize("agreed", [True, False], ids=["with-a-plan", "without"])
@pytest.mark.parametrize("target", ["head", "heads"])
async def test_a_file_that_is_added_while_another_runs_is_left_for_the_next_operation(
    target: str,
    agreed: bool,
    a1_waits: Environment,
    while_one_runs: Meanwhile,
    engine: Engine,
    database: Database,
) -> None:
    done = await while_one_runs(lambda: a1_waits.revision("a2"), target=target, agreed=agreed)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a1"])
    assert kinds(database, done.operation_id) == ["attempt", "started", "applied"]
    assert (await engine.reader.status()).pending == ["a2"]
    assert (await carry_out(engine, target=target)).state is OperationState.SUCCEEDED
    assert version(database) == ["a2"]


def merged(environment: Environment) -> None:
    environment.revision("b1", below=None)
    environment.revision("m1", below=("a1", "b1"))


def branched(environment: Environment) -> None:
    environment.revision("b1", below=None)


def broken(environment: Environment) -> None:
    (environment.versions / "a2.py").write_text("revision = 'a2'\ndown_revision = 'a1'\ndef upgrade(:\n")


def removed(environment: Environment) -> None:
    (environment.versions / "a1.py").unlink()


def renamed(environment: Environment) -> None:
    (environment.versions / "a1.py").rename(environment.versions / "2026_a1.py")


def edited(environment: Environment) -> None:
    path = environment.versions / "a1.py"
    path.write_text(path.read_text().replace("t_a1", "t_something_else"))


def given_another_id(environment: Environment) -> None:
    path = environment.versions / "a1.py"
    path.write_text(path.read_text().replace("revision = 'a1'", "revision = 'z1'"))


CHANGES = [merged, branched, broken, removed, renamed, edited, given_another_id]


@pytest.mark.parametrize("agreed", [True, False], ids=["with-a-plan", "without"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_whatever_becomes_of_the_files_of_a_revision_that_runs_it_ends_as_it_was_agreed(
    change: Callable[[Environment], None],
    agreed: bool,
    a1_waits: Environment,
    while_one_runs: Meanwhile,
    database: Database,
) -> None:
    done = await while_one_runs(lambda: change(a1_waits), agreed=agreed)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a1"])
    assert [step.revision for step in done.applied] == ["a1"]
    assert tables(database) == {"t_a1"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_what_comes_next_is_what_was_loaded_and_a_failure_in_it_is_never_called_success(
    change: Callable[[Environment], None], a1_waits: Environment, while_one_runs: Meanwhile, database: Database
) -> None:
    """The files of what is done and of what comes are gone, and what is left fails."""
    a1_waits.revision("a2", 'op.execute("SELECT 1/0")')

    def both() -> None:
        change(a1_waits)
        (a1_waits.versions / "a2.py").unlink(missing_ok=True)

    failed = await while_one_runs(both)
    assert failed.error is not None
    assert (failed.state, failed.error.revision, failed.error.sqlstate) == (OperationState.FAILED, "a2", "22012")
    assert failed.current_revisions == version(database) == ["a1"]
    assert [step.revision for step in failed.applied] == ["a1"]
    assert kinds(database, failed.operation_id)[-1] == "failed"


async def test_a_file_that_is_removed_before_its_turn_is_run_as_it_was_loaded(
    a1_waits: Environment, while_one_runs: Meanwhile, database: Database
) -> None:
    path = a1_waits.revision("a2")
    done = await while_one_runs(path.unlink)
    assert (done.state, done.current_revisions) == (OperationState.SUCCEEDED, ["a2"])
    assert tables(database) == {"t_a1", "t_a2"}


async def test_a_file_that_says_something_else_before_its_turn_is_run_as_it_was_loaded(
    a1_waits: Environment, while_one_runs: Meanwhile, database: Database
) -> None:
    """Whether it leaves its transaction is told by the text that was loaded, too."""
    body = "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t_a1 (id)')"
    a1_waits.revision("a2", body)
    done = await while_one_runs(lambda: a1_waits.revision("a2", below="a1"))
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a2"])
    assert "nontx_started" in kinds(database, done.operation_id)
    assert tables(database) == {"t_a1"}


@pytest.mark.parametrize("agreed", [True, False], ids=["with-a-plan", "without"])
async def test_one_that_waits_for_others_goes_no_further_than_was_agreed(
    agreed: bool, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    digest = (await engine.reader.plan(Action.UPGRADE, "head")).digest if agreed else None
    with database.connect() as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        accepted = await engine.operations.accept(request(plan_digest=digest, deadline_seconds=60))
        await until(lambda: rows(database, "SELECT FROM migration_sidecar.journal WHERE kind = 'attempt'"))
        environment.revision("a2")
        environment.revision("b1", below=None)  # `head` is nothing certain any more
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a1"])
    assert tables(database) == {"t_a1"}


@pytest.mark.parametrize("agreed", [True, False], ids=["with-a-plan", "without"])
async def test_one_that_is_tried_again_goes_no_further_either(
    agreed: bool, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(engine)
    environment.revision("a2", 'op.execute("ALTER TABLE t_a1 ADD COLUMN note text")')
    digest = (await engine.reader.plan(Action.UPGRADE, "head")).digest if agreed else None
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("SELECT count(*) FROM t_a1")
        accepted = await engine.operations.accept(request(plan_digest=digest))
        await until(lambda: "failed" in kinds(database, accepted.operation_id))
        environment.revision("a3")
        holder.rollback()
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a2"])
    assert done.attempts > 1
    assert tables(database) == {"t_a1"}


@pytest.mark.parametrize(("given", "heads"), [("+1", ["a1"]), ("a1", ["a1"])], ids=["counted", "full-id"])
async def test_a_target_by_hand_means_what_it_meant_when_it_was_given(
    given: str, heads: list[str], a1_waits: Environment, while_one_runs: Meanwhile, engine: Engine
) -> None:
    target = await engine.revision_files.resolve(Action.UPGRADE, given, []) if given == "+1" else given
    done = await while_one_runs(lambda: a1_waits.revision("a2"), target=target)
    assert (done.state, done.current_revisions) == (OperationState.SUCCEEDED, heads)


async def test_a_downgrade_is_judged_by_what_was_agreed_too(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    """The file of what was reverted is removed at once, and another one stands in its place."""
    environment.revision("a1")
    path = environment.revision("a2", downgrade=makes_a_table_and_waits("gone", tmp_path / "go"))
    await carry_out(engine)
    accepted = await engine.operations.accept(request("a1", action="downgrade"))
    await until(lambda: rows(database, HELD_UP))
    path.unlink()
    environment.revision("b2", below="a1")
    (tmp_path / "go").touch()
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a1"])


async def test_a_downgrade_by_hand_reverts_nothing_that_came_after_it_was_given(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2")
    await carry_out(engine)
    with database.connect() as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        wanted = request("a1", action="downgrade", operation_id="by-hand-1")
        accepted = await engine.operations.accept(wanted, origin="by hand")
        await until(lambda: "attempt" in kinds(database, accepted.operation_id))
        environment.revision("a3")
        stranger.execute("CREATE TABLE t_a3 (id int)")
        stranger.execute("UPDATE alembic_version SET version_num = 'a3'")
        # The process that waits has loaded the files already, so it is another one that meets the new one.
        stranger.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
            [f"migration-sidecar:{accepted.operation_id}"],
        )
    refused = await ended(engine, accepted.operation_id)
    assert refused.error is not None
    assert (refused.state, refused.error.code) == (OperationState.FAILED, "CM-306")
    assert version(database) == ["a3"]
    assert tables(database) == {"t_a1", "t_a2", "t_a3"}


async def crashed(environment: Environment, start_engine: StartEngine, database: Database) -> Operation:
    """An operation to a2 that its service left when a1 was done."""
    before = start_engine(environment)
    accepted = await before.operations.accept(request())
    await until(lambda: rows(database, HELD_UP))
    await before.close()
    await until(lambda: not rows(database, HELD_UP))
    return accepted


@pytest.fixture
def a2_waits(environment: Environment, tmp_path: Path) -> Environment:
    environment.revision("a1")
    environment.revision("a2", makes_a_table_and_waits("a2", tmp_path / "go"))
    return environment


async def test_a_successor_with_more_files_goes_no_further_than_was_agreed(
    a2_waits: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    left = await crashed(a2_waits, start_engine, database)
    a2_waits.revision("a3")
    (tmp_path / "go").touch()
    after = start_engine(a2_waits, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    done = await ended(after, left.operation_id)
    assert (done.state, done.error, done.current_revisions) == (OperationState.SUCCEEDED, None, ["a2"])
    assert applied(database) == ["a1", "a2"]


async def test_a_successor_without_the_files_says_that_the_plan_has_changed(
    a2_waits: Environment, start_engine: StartEngine, database: Database
) -> None:
    """By its own files, which end at a1, nothing would be left to do."""
    left = await crashed(a2_waits, start_engine, database)
    (a2_waits.versions / "a2.py").unlink()
    after = start_engine(a2_waits, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    failed = await ended(after, left.operation_id)
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (OperationState.FAILED, "CM-306")
    assert "a2" in failed.error.detail
    assert failed.current_revisions == version(database) == ["a1"]
    assert [step.revision for step in failed.applied] == ["a1"]


async def test_a_successor_without_the_files_knows_an_operation_that_was_done(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2")
    before = start_engine(environment)
    done = await carry_out(before)
    await before.close()
    with database.connect() as connection:
        connection.execute(
            "UPDATE migration_sidecar.operations SET state = 'running', record = record || %s",
            [psycopg.types.json.Jsonb({"state": "running", "finished_at": None, "applied": []})],
        )
    (environment.versions / "a2.py").unlink()
    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    again = await ended(after, done.operation_id)
    assert (again.state, again.error, again.applied) == (OperationState.SUCCEEDED, None, done.applied)


async def test_an_operation_that_an_older_release_left_is_judged_by_the_files_of_now(
    a2_waits: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    left = await crashed(a2_waits, start_engine, database)
    with database.connect() as connection:
        connection.execute("ALTER TABLE migration_sidecar.operations DROP COLUMN agreed")
    a2_waits.revision("a3")
    (tmp_path / "go").touch()
    after = start_engine(a2_waits, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    done = await ended(after, left.operation_id)
    assert (done.state, done.current_revisions) == (OperationState.SUCCEEDED, ["a3"])


async def test_one_that_had_nothing_to_do_still_leads_to_its_target_and_not_to_where_the_database_was(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    """It is accepted at a3 and waits; by its turn the database is at the base."""
    environment.revision("a1")
    environment.revision("a2", downgrade=makes_a_table_and_waits("gone", tmp_path / "go"))
    environment.revision("a3")
    await carry_out(engine)
    down = await engine.operations.accept(request("base", action="downgrade"), origin="by hand")
    await until(lambda: "reverted" in kinds(database, down.operation_id))
    up = await engine.operations.accept(request("a2"))
    (tmp_path / "go").touch()
    assert (await ended(engine, down.operation_id)).state is OperationState.SUCCEEDED
    done = await ended(engine, up.operation_id)
    assert (done.state, done.current_revisions) == (OperationState.SUCCEEDED, ["a2"])
