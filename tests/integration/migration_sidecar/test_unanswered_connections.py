"""A server that cannot be reached when env.py connects is no fault of env.py: it is tried again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from migration_sidecar.alembic_environment.loader import RETRY_SECONDS
from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.contract.messages import DatabaseState, OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.cutting_proxy import MARK, CuttingProxy
from tests.integration.migration_sidecar.environments import applied, carry_out, kinds

ASKS_FOR_ENCRYPTION = (80877103).to_bytes(4, "big")
OWN_NAME = b"migration-sidecar"  # which only the service's own sessions say when they connect
TOO_FEW_SECONDS = 2

AnyProxy = TypeVar("AnyProxy", bound=CuttingProxy)

CLOSED, UNANSWERED = "closed", "never answered"


@dataclass
class RefusingProxy(CuttingProxy):
    """Closes or never answers so many connections of env.py, and passes everybody else on."""

    refused: list[str] = field(default_factory=list)

    async def serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        first = await client_in.read(1 << 16)
        if first[4:8] == ASKS_FOR_ENCRYPTION:
            client_out.write(b"N")
            first = await client_in.read(1 << 16)
        if self.cuts_left and first and OWN_NAME not in first:
            self.cuts_left -= 1
            self.refused.append(self.how)
            if self.how is UNANSWERED:
                with suppress(ConnectionError):
                    await client_in.read()
            client_out.transport.abort()
            return
        server_in, server_out = await asyncio.open_connection(self.host, self.port)
        server_out.write(first)
        await asyncio.gather(_pass_on(client_in, server_out), _pass_on(server_in, client_out))


@dataclass
class EndingProxy(CuttingProxy):
    """Ends so many connections at a statement with the mark, as a server that is stopped does."""

    async def serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection(self.host, self.port)
        answers = asyncio.create_task(_pass_on(server_in, client_out))
        with suppress(ConnectionError):
            while data := await client_in.read(1 << 16):
                if MARK.encode() in data and self.cuts_left:
                    self.cuts_left -= 1
                    break
                server_out.write(data)
        for writer in (client_out, server_out):
            writer.transport.abort()
        await answers


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.transport.abort()


@asynccontextmanager
async def serving(proxy: AnyProxy) -> AsyncIterator[AnyProxy]:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


@pytest.mark.parametrize("how", [CLOSED, UNANSWERED])
@pytest.mark.parametrize(("template", "limit"), [("generic", "connect_timeout"), ("async", "timeout")])
async def test_env_py_that_gets_no_session_is_tried_again(
    template: str,
    limit: str,
    how: str,
    make_environment: MakeEnvironment,
    start_engine: StartEngine,
    database: Database,
) -> None:
    address = database.address
    async with serving(RefusingProxy(address.host, address.port, 0, how)) as proxy:
        environment = make_environment(template)
        environment.set_url(proxy.url(environment.url))
        env_py = environment.folder / "alembic" / "env.py"
        pool = "poolclass=pool.NullPool,"
        limited = f'{pool} connect_args={{"{limit}": {TOO_FEW_SECONDS}}},'
        env_py.write_text(env_py.read_text().replace(pool, limited))
        environment.revision("a1")
        engine = start_engine(environment)
        await engine.reader.status()  # env.py was looked at, and connected then
        proxy.cuts_left = 3
        operation = await carry_out(engine)
    assert len(proxy.refused) == 3
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert operation.attempts > 1
    assert applied(database) == ["a1"]
    assert "attempt" in kinds(database, operation.operation_id)


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_an_env_py_whose_session_ends_while_it_is_previewed_is_asked_again(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """A server that is restarted at that moment: it is no fault of env.py, and says nothing about it."""
    async with serving(EndingProxy(database.address.host, database.address.port, 1)) as proxy:
        environment = make_environment(template)
        environment.set_url(proxy.url(environment.url))
        env_py = environment.folder / "alembic" / "env.py"
        said = rf"\1connection.exec_driver_sql('SELECT 1 {MARK}')\n\1connection.rollback()\n\1context.configure(\2"
        text, count = re.subn(r"( +)context\.configure\((\s*connection=)", said, env_py.read_text())
        assert count == 1
        env_py.write_text(text)
        environment.revision("a1")
        engine = start_engine(environment)
        status = await engine.reader.status()
        assert (status.state, status.error and status.error.code) == (DatabaseState.UNREACHABLE, "CM-513")
        assert status.error is not None
        assert status.error.retryable
        with pytest.raises(DatabaseUnreachable):  # whoever asks is told to ask again, and nothing is stored
            await carry_out(engine)
        await asyncio.sleep(RETRY_SECONDS)
        operation = await carry_out(engine)
    assert proxy.cuts_left == 0
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert applied(database) == ["a1"]
