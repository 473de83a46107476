"""The parent's end of the warm forkserver: starts it, sends it jobs, reads reports, ends a migration process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from select import select
from typing import cast

from migration_sidecar.contract.errors import NoProcess
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.launcher import Launched, launch
from migration_sidecar.protocol.jobs import AskedJob, Job
from migration_sidecar.protocol.orders import OrdersMessage
from migration_sidecar.protocol.reports import Report

_LINE_BYTES = 1 << 22
STARTS_FOR_ONE_JOB = 3
START_SECONDS = 60.0  # it takes one, and many while a whole fleet starts on a small machine


class MigrationProcess:
    """One forked process; iterate over its reports, which end when it is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._handle: int | None = None  # a pidfd: a pid could belong to somebody else by now

    async def begin(self) -> None:
        """Its first line is its pid: from now on it can be ended whatever it does.

        Of one that was killed before it could write that line only `exited` is left, after a line break.
        """
        with suppress(ProcessLookupError, ValueError):
            self._handle = os.pidfd_open(json.loads(await self._reader.readline())["pid"])

    @property
    def gone(self) -> bool:
        """A pidfd becomes readable when its process ends; reports may still be waiting then."""
        return self._handle is None or bool(select([self._handle], [], [], 0)[0])

    async def order(self, orders: OrdersMessage) -> None:
        """What a migration waits for; a process that is gone is noticed by its reports."""
        with suppress(ConnectionError):
            self._writer.write(json.dumps(orders).encode() + b"\n")
            await self._writer.drain()

    async def reports(self) -> AsyncGenerator[Report, None]:
        """Ended by `exited`, which the forkserver writes; a killed process may have left half a line before it."""
        with suppress(ConnectionError):
            while line := await self._reader.readline():
                with suppress(ValueError):
                    report: Report = json.loads(line)
                    yield report

    async def end(self) -> None:
        """SIGKILL; PostgreSQL then rolls back whatever revision was under way."""
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        self._writer.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class WarmProcesses:
    """Owns one forkserver; `start` may be called at any time and again after it died.

    `python` is the service's own interpreter, which needs Alembic and a driver; ours otherwise. `launched` is a
    forkserver of that interpreter which is starting already.
    """

    def __init__(
        self,
        environment: dict[str, str] | None = None,
        python: Path | None = None,
        launched: Launched | None = None,
    ) -> None:
        self._environment = environment
        self.python = str(python or sys.executable)
        self._launched = launched
        self._is_ready = False
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return self._launched.process.pid if self._launched is not None else None

    @property
    def is_running(self) -> bool:
        return self._launched is not None and self._launched.process.poll() is None

    async def start(self) -> None:
        async with self._starting:
            if not self.is_running:
                self.stop()
            if self._is_ready:
                return
            if self._launched is None:
                self._launched = await self._launch()
            said = await self._first_word(self._launched.socket)
            if said != "ready":
                self.stop()
                raise _unfit(said)
            self._is_ready = True

    async def _launch(self) -> Launched:
        try:
            # Its exec is waited for, which takes long on a busy machine: nobody else shall wait for it.
            return await asyncio.to_thread(launch, self.python, self._environment)
        except OSError:
            raise NoProcess("The interpreter cannot be started") from None

    @staticmethod
    async def _first_word(ours: socket.socket) -> str:
        try:
            async with asyncio.timeout(START_SECONDS):
                return (await asyncio.get_running_loop().sock_recv(ours, 256)).decode()
        except (TimeoutError, ConnectionError):
            return ""

    @asynccontextmanager
    async def run(self, job: Job) -> AsyncIterator[MigrationProcess]:
        """Forks one process for the job; leaving the block ends it if it still runs."""
        ours, theirs = socket.socketpair()
        with theirs:
            await self._hand_over(json.dumps(job).encode(), theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES)
        process = MigrationProcess(reader, writer)
        try:
            await process.begin()
            yield process
        finally:
            await process.end()
            process.close()

    async def ask(self, job: AskedJob, *, timeout_seconds: float) -> Answer:
        """For jobs that only read files: all reports in one, ended by `done` or `failed`; one that hangs is ended.

        One that somebody killed is asked again: that says nothing about the files.
        """
        answer = await self._ask_once(job, timeout_seconds)
        return await self._ask_once(job, timeout_seconds) if was_killed(answer) else answer

    async def _ask_once(self, job: AskedJob, timeout_seconds: float) -> Answer:
        await self.start()  # takes a second, or many when a whole fleet starts: that is nobody's fault
        answer: dict[str, object] = {"event": "gone"}
        try:
            async with asyncio.timeout(timeout_seconds), self.run(job) as process:
                async for report in process.reports():
                    ended = report["event"] in ("done", "failed")
                    answer.update(report, event=report["event"] if ended else answer["event"])
        except TimeoutError:
            answer.update(event="gone", after_seconds=timeout_seconds)
        return cast(Answer, answer)

    def stop(self) -> None:
        """The forkserver and its children end with the socket."""
        launched, self._launched, self._is_ready = self._launched, None, False
        if launched is not None:
            launched.stop()

    async def _hand_over(self, job: bytes, descriptor: int) -> None:
        """To another forkserver where this one has just died: of a job that was not sent nobody has heard."""
        for _ in range(STARTS_FOR_ONE_JOB):
            await self.start()
            launched = self._launched
            if launched is None:
                break
            try:
                socket.send_fds(launched.socket, [job], [descriptor])
            except ConnectionError:
                if self._launched is launched:
                    self.stop()
            else:
                return
        raise NoProcess("The process that loads Alembic was stopped")


def _unfit(said: str) -> NoProcess:
    if said.startswith("lacks "):
        return NoProcess(
            f"The interpreter {said}, or has a version older than Alembic 1.7 or SQLAlchemy 1.4",
            "Install them there, or name the service's own interpreter with --python.",
        )
    return NoProcess("The process that loads Alembic did not get ready")
