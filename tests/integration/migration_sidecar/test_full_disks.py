"""A disk that is full stops a migration at a whole revision, and it goes on when there is room again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.contract.messages import DatabaseState, OperationState
from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import applied, carry_out, lock_is_free, request, tables, version
from tests.integration.migration_sidecar.troubled_servers import CrampedServer, fill, running


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrampedServer]:
    """A server with a tablespace `small` that is soon full."""
    directory = tmp_path_factory.mktemp("cramped")
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    with running(CrampedServer(directory, address, durable=False, dies_with_us=True)) as server:
        assert isinstance(server, CrampedServer)
        with server.address.connect() as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{server.small_disk}'")  # type: ignore[arg-type]
        yield server


@pytest.fixture
def roomy(cramped: CrampedServer) -> Iterator[Database]:
    """A database beside the small disk."""
    yield from _database(cramped, "roomy", "")


@pytest.fixture
def small(cramped: CrampedServer) -> Iterator[Database]:
    """A database on the small disk."""
    yield from _database(cramped, "small", "TABLESPACE small")


def _database(server: CrampedServer, name: str, where: str) -> Iterator[Database]:
    with server.address.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 {where}")  # type: ignore[arg-type]
        yield Database(name, server.address)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_revision_that_finds_no_room_is_undone_and_goes_on_when_there_is_some(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, roomy: Database, tmp_path: Path
) -> None:
    environment = make_environment(template, url=roomy.async_url if template == "async" else roomy.url)
    environment.revision("a1")
    await carry_out(start_engine(environment))
    rows = "SELECT repeat(md5(i::text), 200) AS facts FROM generate_series(1, 1000) AS i"
    environment.revision("a2", f'op.execute("CREATE TABLE t_a2 TABLESPACE small AS {rows}")', 'op.drop_table("t_a2")')
    fill(roomy, "filler", "small")
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.sqlstate, operation.attempts) == ("CM-532", "53100", 1)
    assert "disk space" in operation.error.detail
    assert version(roomy) == operation.current_revisions == ["a1"]
    assert tables(roomy) == {"t_a1"}
    assert lock_is_free(roomy)
    with roomy.connect() as connection:
        connection.execute("DROP TABLE filler")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert applied(roomy) == ["a1", "a2"]


async def test_a_database_without_room_for_a_record_begins_nothing_and_tells_its_status(
    make_environment: MakeEnvironment, start_engine: StartEngine, small: Database
) -> None:
    environment = make_environment(url=small.url)
    environment.revision("a1")
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2")
    with small.connect() as connection:
        connection.execute("TRUNCATE migration_sidecar.operations")  # so that the next record needs a page of its own
    fill(small, "filler", "small")
    status = await engine.reader.status()
    assert (status.state, status.current_revisions) == (DatabaseState.BEHIND, ["a1"])
    with pytest.raises(DatabaseUnreachable) as refused:
        await engine.operations.accept(request())
    assert (refused.value.problem.code, refused.value.problem.retryable) == ("CM-532", True)
    with small.connect() as connection:
        connection.execute("DROP TABLE filler")
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(small) == ["a2"]
