"""A way to PostgreSQL on loopback that can be slow, fall silent, break, or swallow the answer to a COMMIT."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


class Proxy:
    """Its attributes may be changed at any time from any thread."""

    def __init__(self, port: int) -> None:
        self.server_port, self.port = port, 0
        self.latency_seconds = 0.0
        self.silent = False  # reads nothing, answers nothing, stays connected
        self.swallow_commits = 0  # so many COMMITs are passed on, and the connection ends before the answer
        self.swallowed = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()

    def break_all(self) -> int:
        """Resets every connection that is open; gives how many."""
        number = len(self._open)
        self._loop.call_soon_threadsafe(self._abort)
        return number

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            server_in, server_out = await asyncio.open_connection("127.0.0.1", self.server_port)
            both = {client_out, server_out}
            self._open |= both
            answers = asyncio.create_task(self._pass_on(server_in, client_out))
            try:
                await self._ask(client_in, server_in, server_out, answers)
            finally:
                answers.cancel()
                self._open -= both
                for writer in both:
                    writer.transport.abort()

    async def _ask(
        self,
        client_in: asyncio.StreamReader,
        server_in: asyncio.StreamReader,
        server_out: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        while data := await client_in.read(CHUNK):
            await self._hesitate()
            server_out.write(data)
            if b"COMMIT" in data and self.swallow_commits:
                self.swallow_commits -= 1
                self.swallowed += 1
                answers.cancel()
                await asyncio.wait([answers])
                await server_in.read(CHUNK)  # the answer that nobody will hear
                return

    async def _pass_on(self, server_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await server_in.read(CHUNK):
                await self._hesitate()
                client_out.write(data)
        client_out.close()

    async def _hesitate(self) -> None:
        await asyncio.sleep(self.latency_seconds)
        while self.silent:
            await asyncio.sleep(0.02)

    def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _run(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        with suppress(asyncio.CancelledError):
            await server.serve_forever()

    def _work(self, ready: threading.Event) -> None:
        with suppress(RuntimeError):
            self._loop.run_until_complete(self._run(ready))


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    proxy, ready = Proxy(port), threading.Event()
    thread = threading.Thread(target=proxy._work, args=(ready,), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(5)
