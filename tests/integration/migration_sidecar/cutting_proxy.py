"""A way to PostgreSQL that breaks at the worst moment: around a COMMIT, or in the middle of a revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy.engine import make_url

MARK = "/* cut here */"

ANSWER_LOST = "COMMIT took effect, and its answer does not arrive"
DEAF = "nothing is passed on any more, and both ends stay connected"
HALF_CLOSED = "the server hears that the client has said its last word, before COMMIT"


@dataclass
class CuttingProxy:
    """Breaks a connection that sent the mark, as often as it may; most ways at its next COMMIT."""

    host: str
    port: int
    cuts_left: int
    how: str = ANSWER_LOST
    own_port: int = 0

    def url(self, url: str) -> str:
        """The same database, reached through here."""
        through = make_url(url).set(host="127.0.0.1", port=self.own_port)
        return through.render_as_string(hide_password=False)

    async def serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_connection(self.host, self.port)
        answers = asyncio.create_task(_pump(server_in, client_out))
        marked = False
        with suppress(ConnectionError):
            while data := await client_in.read(1 << 16):
                marked = marked or MARK.encode() in data
                if marked and self.cuts_left and (b"COMMIT" in data or self.how is DEAF):
                    self.cuts_left -= 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    await self._break(data, server_in, server_out)
                    break
                server_out.write(data)
        answers.cancel()
        for writer in (client_out, server_out):
            writer.transport.abort()

    async def _break(self, data: bytes, server_in: asyncio.StreamReader, server_out: asyncio.StreamWriter) -> None:
        if self.how is DEAF:
            await asyncio.sleep(60)
        elif self.how is HALF_CLOSED:
            server_out.write_eof()
            await server_in.read()
        else:
            server_out.write(data)
            await server_in.read(1 << 16)  # the answer that nobody will hear


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def cutting_proxy(host: str, port: int, *, cuts: int, how: str = ANSWER_LOST) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(host, port, cuts, how)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
