"""A server without a free connection is asked again with patience, and never hammered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from migration_sidecar.contract.messages import DatabaseState, OperationState
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import applied, carry_out, ended, kinds, request, rows, until
from tests.integration.migration_sidecar.sleepers import waits
from tests.integration.migration_sidecar.troubled_servers import database_of, running, server_in

TEMPLATES = pytest.mark.parametrize("template", ["generic", "async"])


@pytest.fixture
def limited(postgres: PostgresServer, database: Database) -> Iterator[Any]:
    """The URL for a role that may have so many sessions at once."""
    name, owned = sql.Identifier("limited"), sql.Identifier(database.name)
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(name))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(owned, name))

        def limit(sessions: int) -> None:
            connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(name, sql.Literal(sessions)))

        yield limit
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owned))
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


def of_limited(url: str) -> str:
    return make_url(url).set(username="limited", password="secret").render_as_string(hide_password=False)


@TEMPLATES
async def test_a_migration_that_finds_no_free_connection_tries_again_at_most_once_a_second(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database, limited: Any
) -> None:
    environment = make_environment(template)
    environment.set_url(of_limited(environment.url))
    environment.revision("a1")
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2")
    sessions = "SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'limited'"
    await until(lambda: rows(database, f"{sessions} AND application_name LIKE 'migration-sidecar:%'") == [(0,)])
    own = rows(database, sessions)[0][0]
    with ExitStack() as others:
        limited(own + 4)
        for _ in range(4):  # room for what the service itself has, none for the migration
            others.enter_context(closing(psycopg.connect(of_limited(database.url))))
        accepted = await engine.operations.accept(request())
        await until(lambda: kinds(database, accepted.operation_id).count("failed") >= 2)
        waiting = await until(partial(waits, engine, accepted.operation_id))
        assert not waiting.state.ended
        assert "connection" in (waiting.waiting_for or "")
    done = await ended(engine, accepted.operation_id)
    assert done.state is OperationState.SUCCEEDED
    assert applied(database) == ["a1", "a2"]
    failures = rows(
        database,
        "SELECT extract(epoch FROM at)::float FROM migration_sidecar.journal WHERE kind = 'failed' ORDER BY seq",
    )
    assert all(later - earlier >= 1 for (earlier,), (later,) in pairwise(failures))


async def test_a_server_whose_places_are_all_taken_is_waited_for_without_a_storm(
    tmp_path: Path, make_environment: MakeEnvironment, start_engine: StartEngine
) -> None:
    with running(server_in(tmp_path / "small", max_connections=12)) as server:
        database = database_of(server)
        with server.address.connect() as administrator:
            administrator.execute("CREATE ROLE plain LOGIN PASSWORD 'secret'")
            administrator.execute("GRANT CREATE ON DATABASE postgres TO plain; GRANT CREATE ON SCHEMA public TO plain")
            administrator.execute("ALTER SYSTEM SET log_connections = on")
            administrator.execute("SELECT pg_reload_conf()")
        url = make_url(database.url).set(username="plain", password="secret").render_as_string(hide_password=False)
        environment = make_environment(url=url)
        environment.revision("a1")
        engine = start_engine(environment, MIGRATE_ON_STARTUP="apply")
        with ExitStack() as others:
            with suppress(psycopg.OperationalError):
                while True:
                    others.enter_context(closing(psycopg.connect(url)))
            status = await engine.reader.status()
            assert status.state is DatabaseState.UNREACHABLE
            assert status.error is not None
            assert (status.error.code, status.error.retryable) == ("CM-531", True)
            begun = monotonic()
            refused = _refusals(server)
            starting = asyncio.create_task(engine.startup.run())
            await asyncio.sleep(3)  # how often it asks is counted by the time that has really passed
            assert not starting.done()
            assert _refusals(server) - refused <= monotonic() - begun + 1
        await starting
        await until(lambda: rows(database, "SELECT to_regclass('t_a1') IS NOT NULL") == [(True,)])
        await engine.close()


def _refusals(server: PostgresServer) -> int:
    text = server.program.log.read_text()
    return text.count("too many clients already") + text.count("remaining connection slots")
