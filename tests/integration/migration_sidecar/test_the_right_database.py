"""What was accepted in one database is never carried out in another."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.messages import OperationState
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import carry_out, rows


@pytest.mark.parametrize("used_before", [True, False], ids=["with a journal", "without one"])
async def test_an_env_py_that_turns_to_another_database_between_look_and_migration_is_refused(
    make_environment: MakeEnvironment,
    create_database: CreateDatabase,
    database: Database,
    start_engine: StartEngine,
    used_before: bool,
) -> None:
    """A secret that was rotated, a host name that moved: only the operation's own row proves that it is the place."""
    environment = make_environment()
    environment.revision("a")
    other = create_database()
    if used_before:
        neighbour = make_environment(url=other.url, name="neighbour")
        neighbour.revision("another_history")
        await carry_out(start_engine(neighbour))
    before = rows(other, "SELECT relname FROM pg_class ORDER BY 1")
    env, moved = environment.folder / "alembic" / "env.py", environment.folder / "moved.txt"
    turning = f"""
from pathlib import Path
if Path({str(moved)!r}).exists():
    config.set_main_option("sqlalchemy.url", {other.url!r})
"""
    env.write_text(env.read_text().replace("target_metadata = None\n", f"target_metadata = None\n{turning}"))
    assert "moved.txt" in env.read_text()
    engine = start_engine(environment)
    await engine.reader.status()
    moved.touch()
    operation = await carry_out(engine)
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-702")
    assert rows(other, "SELECT relname FROM pg_class ORDER BY 1") == before
