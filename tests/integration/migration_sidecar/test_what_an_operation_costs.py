"""What an operation asks its database for besides the revisions, in numbers that no busy machine changes."""

from __future__ import annotations

from typing import Any

import pytest

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.database import facts
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations import execution, monitor
from migration_sidecar.engine.planning import prepared_facts
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, applied, carry_out, ended, request, rows

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'migration-sidecar %'"


@pytest.fixture(autouse=True)
def however_slow_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow operation is looked at twice a second, on a session of the pool."""
    monkeypatch.setattr(monitor, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(execution, "FRESH_SECONDS", 60.0)


async def test_an_operation_has_one_session_besides_the_one_that_migrates(
    environment: Environment, engine: Engine, database: Database
) -> None:
    environment.revision("one")
    await carry_out(engine)

    assert rows(database, SESSIONS + " AND datname = current_database()") == [(1,)]


async def test_where_a_database_is_is_read_when_the_operation_is_accepted_and_when_it_is_read_back(
    environment: Environment, engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []

    async def counted(*arguments: object) -> facts.DatabaseFacts:
        times.append(arguments)
        return await facts.read_facts(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prepared_facts, "read_facts", counted)
    environment.revision("one")
    await carry_out(engine)

    assert applied(database) == ["one"]
    assert len(times) == 2


@pytest.mark.parametrize("by", ["accept", "accept_alone"])
async def test_the_steps_of_an_operation_are_worked_out_once_and_then_stored_with_it(
    environment: Environment, engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    worked_out, between = [], History.between

    def counted(*arguments: Any) -> list[RevisionFile]:
        steps = between(*arguments)
        worked_out.append([step.id for step in steps])
        return steps

    environment.revision("one")
    environment.revision("two")
    await engine.revision_files.history()
    monkeypatch.setattr(History, "between", counted)
    wanted = request()
    await getattr(engine.operations, by)(wanted, origin="by hand")
    assert (await ended(engine, wanted.operation_id)).state is OperationState.SUCCEEDED
    assert applied(database) == ["one", "two"]
    assert worked_out == [["one", "two"]]
    (stored,) = rows(database, "SELECT agreed -> 'revisions' FROM migration_sidecar.operations")[0]
    assert [step["id"] for step in stored] == ["one", "two"]
