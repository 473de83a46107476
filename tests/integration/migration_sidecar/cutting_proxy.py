"""A way to PostgreSQL that breaks at the worst moment: after COMMIT took effect, before its answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy.engine import make_url

MARK = "/* cut here */"


@dataclass
class CuttingProxy:
    """Cuts a connection that sent the mark, at its next COMMIT, as often as it may."""

    host: str
    port: int
    cuts_left: int
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
                if marked and b"COMMIT" in data and self.cuts_left:
                    self.cuts_left -= 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    server_out.write(data)
                    await server_in.read(1 << 16)  # the answer that nobody will hear
                    break
                server_out.write(data)
        answers.cancel()
        for writer in (client_out, server_out):
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def cutting_proxy(host: str, port: int, *, cuts: int) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(host, port, cuts)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
