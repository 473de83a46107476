"""Revisions that PostgreSQL cannot undo: a person is asked, and nothing is tried again."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    kinds,
    lock_is_free,
    rows,
    tables,
    version,
)

COMMITS_ITSELF = """
op.execute("CREATE TABLE t_a2 (id int)")
op.execute("COMMIT")
op.execute("SELECT 1/0")
"""

UNIQUE_INDEX = """
with op.get_context().autocommit_block():
    op.create_index("ix_one", "t_a1", ["id"], unique=True, postgresql_concurrently=True)
"""

INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


async def test_a_revision_that_commits_by_itself_and_then_fails_needs_attention(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", COMMITS_ITSELF)
    operation = await carry_out(engine)
    assert operation.state is OperationState.NEEDS_ATTENTION
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-402", "a2")
    assert operation.attempts == 1
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1", "t_a2"}
    assert kinds(database, operation.operation_id)[-2:] == ["started", "failed"]


async def test_start_up_does_not_try_again_what_needs_attention(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", COMMITS_ITSELF)
    first = start_engine(environment)
    operation = await carry_out(first)
    await first.close()
    second = start_engine(environment)
    await second.startup.run()
    assert (await second.reader.status()).last_outcome == operation
    ready, reason = await second.startup.readiness()
    assert not ready
    assert "committed by itself" in reason


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_unique_index_that_cannot_be_built_concurrently_needs_attention_and_names_the_drop_statement(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment(template)
    environment.revision("a1", 'op.execute("CREATE TABLE t_a1 AS SELECT 1 AS id FROM generate_series(1, 2)")')
    environment.revision("a2", UNIQUE_INDEX)
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.NEEDS_ATTENTION
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision, operation.error.sqlstate) == ("CM-405", "a2", "23505")
    assert "could not create unique index" in (operation.error.server_message or "")
    assert "DROP INDEX CONCURRENTLY public.ix_one" in operation.error.next_step
    assert operation.attempts == 1
    assert version(database) == ["a1"]
    assert rows(database, INVALID) == [(1,)]
    assert lock_is_free(database)

    # What the problem tells a person to do is enough.
    rows_changed = rows(database, "DELETE FROM t_a1 WHERE ctid = (SELECT min(ctid) FROM t_a1) RETURNING id")
    assert rows_changed == [(1,)]
    with database.connect() as connection:
        connection.execute("DROP INDEX CONCURRENTLY public.ix_one")
    again = await carry_out(engine)
    assert again.state is OperationState.SUCCEEDED
    assert applied(database) == ["a1", "a2"]


async def test_a_revision_outside_a_transaction_that_works_is_recorded_on_both_sides_of_its_commit(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", UNIQUE_INDEX)
    environment.revision("a3")
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED
    found = rows(
        database,
        """SELECT s.kind, s.xid <> a.xid FROM migration_sidecar.journal s JOIN migration_sidecar.journal a
           USING (operation_id, revision) WHERE revision = 'a2' AND s.kind <> 'applied' AND a.kind = 'applied'""",
    )
    assert found == [("nontx_started", True)]
    assert applied(database) == ["a1", "a2", "a3"]


async def test_a_failure_before_the_block_that_commits_leaves_nothing_behind(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """Non-transactional by its kind, but nothing of it was committed: an ordinary failure."""
    environment.revision("a1")
    environment.revision("a2", 'op.execute("SELECT 1/0")\n' + UNIQUE_INDEX.strip())
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "CM-401"
    assert kinds(database, operation.operation_id) == ["attempt", "started", "applied", "failed"]


async def test_a_revision_that_throws_the_lock_away_is_refused_and_undone(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision(
        "a1", 'op.execute("CREATE TABLE t_a1 (id int)"); op.execute("SELECT pg_advisory_unlock_all()")'
    )
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "CM-406"
    assert tables(database) == set()
    assert kinds(database, operation.operation_id) == ["attempt", "refused"]


async def test_a_version_row_that_a_revision_moves_by_hand_is_not_called_success(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2")
    environment.revision(
        "a3",
        """
        op.execute("DELETE FROM alembic_version")
        op.execute("COMMIT")
        """,
    )
    operation = await carry_out(engine)
    assert operation.state is not OperationState.SUCCEEDED
    assert version(database) == operation.current_revisions == []
