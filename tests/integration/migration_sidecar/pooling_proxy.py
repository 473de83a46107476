"""A test double of a pooler in transaction mode: it lends a server session for one transaction, then to whoever asks.

It is not PgBouncer. It speaks as much of the protocol as the drivers of these tests need, and logs in without a
password; what makes it a pooler is held to PgBouncer's behaviour by a test.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from sqlalchemy.engine import make_url

ENCRYPTION_REQUESTS = (80877103, 80877104)  # SSL and GSS
READY, TERMINATE, KEY_DATA = b"Z", b"X", b"K"
NOT_IN_A_TRANSACTION = b"I"

Message = tuple[bytes, bytes]


@dataclass
class Session:
    """One session of the server, and what the server said when it was opened."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: list[Message]


@dataclass
class PoolingProxy:
    """As PgBouncer does, it lends out the session that came back last, and opens one when none is free."""

    host: str
    port: int
    own_port: int = 0
    idle: list[Session] = field(default_factory=list)
    clients: count[int] = field(default_factory=lambda: count(1_000_001))

    def url(self, url: str) -> str:
        """The same database, reached through here."""
        through = make_url(url).set(host="127.0.0.1", port=self.own_port)
        return through.render_as_string(hide_password=False)

    async def serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        session = None
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            startup = await _startup(client_in, client_out)
            session = await self._borrow(startup)
            self._greet(client_out, session)
            session = self._give_back(session)
            while (message := await _message(client_in))[0] != TERMINATE:
                session = session or await self._borrow(startup)
                session = await self._carry(message, session, client_in, client_out)
        if session is not None:
            session.writer.transport.abort()  # its client left in mid-transaction
        client_out.transport.abort()

    def _greet(self, client_out: asyncio.StreamWriter, session: Session) -> None:
        """The key that a client is told is the pooler's own: sessions come and go behind it."""
        for kind, body in session.greeting:
            told = struct.pack("!II", next(self.clients), 0) if kind == KEY_DATA else body
            client_out.write(_framed((kind, told)))

    async def _carry(
        self, message: Message, session: Session, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> Session | None:
        """One exchange; the session is kept while a transaction is open."""
        session.writer.write(_framed(message))
        asking = asyncio.create_task(_pass_on(client_in, session.writer))
        try:
            while True:
                answer = await _message(session.reader)
                client_out.write(_framed(answer))
                if answer[0] == READY:
                    return session if answer[1] != NOT_IN_A_TRANSACTION else self._give_back(session)
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                await asking

    async def _borrow(self, startup: bytes) -> Session:
        if self.idle:
            return self.idle.pop()
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(startup)
        greeting = [await _message(reader)]
        while greeting[-1][0] != READY:
            greeting.append(await _message(reader))
        return Session(reader, writer, greeting)

    def _give_back(self, session: Session) -> None:
        self.idle.append(session)


async def _startup(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> bytes:
    while True:
        head = await client_in.readexactly(8)
        length, code = struct.unpack("!II", head)
        rest = await client_in.readexactly(length - 8)
        if code not in ENCRYPTION_REQUESTS:
            return head + rest
        client_out.write(b"N")


async def _message(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def _framed(message: Message) -> bytes:
    kind, body = message
    return kind + struct.pack("!I", len(body) + 4) + body


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)


@asynccontextmanager
async def pooling_proxy(host: str, port: int) -> AsyncIterator[PoolingProxy]:
    """The server must let its clients in without a password."""
    proxy = PoolingProxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for session in proxy.idle:
            session.writer.transport.abort()
