"""Revisions that leave their transaction, set things or cannot run in one: each guard is there for the next one too."""

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

GUARDS = """op.execute("CREATE TABLE t_guards AS SELECT current_setting('lock_timeout') AS lock_timeout,"
           " current_setting('idle_in_transaction_session_timeout') AS idle")"""


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_statement_that_cannot_run_in_a_transaction_is_named_with_its_line_and_the_fix(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment(template)
    environment.revision("a", 'op.execute("CREATE TABLE t_a (id int)")\nop.execute("VAC" + "UUM t_a")')
    operation = await carry_out(start_engine(environment))
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-305")
    assert operation.error.detail.startswith("a.py:13: ")
    assert operation.error.server_message == "VACUUM cannot run inside a transaction block"
    assert "with op.get_context().autocommit_block():" in operation.error.next_step
    assert (tables(database), lock_is_free(database)) == (set(), True)


async def test_an_autocommit_block_in_a_transaction_of_env_py_says_whose_transaction_it_is(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    """Bare Alembic gives an AssertionError without a word."""
    env = environment.folder / "alembic" / "env.py"
    env.write_text(env.read_text().replace("connectable.connect()", "connectable.begin()"))
    environment.revision("a")
    environment.revision(
        "b", 'block = getattr(op.get_context(), "auto" + "commit_block")\nwith block(): pass # autocommit_block'
    )
    operation = await carry_out(start_engine(environment))
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-305", "b")
    assert "connect() instead of begin()" in operation.error.next_step
    assert tables(database) == set()


@pytest.mark.parametrize(
    "leaks",
    [
        "SET lock_timeout = '77s'; SET idle_in_transaction_session_timeout = 0",
        "SET SESSION lock_timeout = 0; SET SESSION idle_in_transaction_session_timeout = 0",
        "COMMIT; RESET ALL",
        "ROLLBACK; SET lock_timeout = '77s'; SET idle_in_transaction_session_timeout = 0; COMMIT",
    ],
)
async def test_what_a_revision_sets_does_not_leak_into_the_guards_of_the_next(
    engine: Engine, environment: Environment, database: Database, leaks: str
) -> None:
    lines = [f'op.execute("{each.strip()}")' for each in leaks.split(";")]
    environment.revision("first")  # a ROLLBACK in the first one would take Alembic's own table along
    environment.revision("a", "\n".join(lines))
    environment.revision("b", GUARDS)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT * FROM t_guards") == [("1s", "1min")]


async def test_the_patience_of_a_revision_outside_a_transaction_does_not_leak_into_the_next(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a", "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')")
    environment.revision("b", GUARDS)
    await carry_out(engine)
    assert rows(database, "SELECT lock_timeout FROM t_guards") == [("1s",)]


async def test_the_operator_sets_the_guards(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.ini.write_text(environment.ini.read_text() + "lock_timeout = 250ms\npatient_lock_timeout = 3min\n")
    environment.revision("a", GUARDS)
    patient = GUARDS.replace("t_guards", "t_patient").replace("\n", "\n    ")
    environment.revision("b", f"with op.get_context().autocommit_block():\n    {patient}")
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT * FROM t_guards UNION ALL SELECT * FROM t_patient") == [
        ("250ms", "1min"),
        ("3min", "1min"),
    ]


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_revision_that_commits_by_itself_and_goes_on_succeeds(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """Bare Alembic allows it; the journal shows it by two transaction ids."""
    environment = make_environment(template)
    environment.revision(
        "a", 'op.execute("CREATE TABLE t_a ()")\nop.execute("COMMIT")\nop.execute("CREATE TABLE t_b ()")'
    )
    environment.revision("c")
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert (version(database), applied(database)) == (["c"], ["a", "c"])
    assert kinds(database, operation.operation_id) == ["attempt", *["started", "applied"] * 2]


async def test_what_a_revision_rolls_back_itself_is_gone_and_the_rest_is_kept(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("first")
    environment.revision(
        "a", 'op.execute("CREATE TABLE t_a ()")\nop.execute("ROLLBACK")\nop.execute("CREATE TABLE t_b ()")'
    )
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert (version(database), tables(database)) == (["a"], {"t_first", "t_b"})


async def test_a_lock_thrown_away_outside_a_transaction_needs_attention(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a", 'with op.get_context().autocommit_block():\n    op.execute("DISCARD ALL")')
    operation = await carry_out(engine)
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.NEEDS_ATTENTION, "CM-405")
    assert (version(database), lock_is_free(database)) == ([], True)
