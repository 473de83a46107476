"""Starts the forkserver, sends it jobs, reads the reports of worker processes, and ends them."""

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
from time import monotonic
from typing import cast

from migration_sidecar.contract.errors import WorkerUnavailable
from migration_sidecar.forkserver.answer import Answer, was_killed
from migration_sidecar.forkserver.launcher import ForkserverProcess, launch
from migration_sidecar.protocol.busy_machine import seconds_without_processor
from migration_sidecar.protocol.jobs import AskedJob, Job
from migration_sidecar.protocol.orders import OrdersMessage
from migration_sidecar.protocol.reports import Report

_LINE_BYTES = 1 << 22
STARTS_FOR_ONE_JOB = 3
START_SECONDS = 60.0  # mostly one is enough, but many services may start at once on a small machine


class WorkerProcess:
    """One worker process, as `ForkserverClient.run` gives it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._handle: int | None = None  # a pidfd, because a pid may be used again for another process
        self._pid: int | None = None

    async def read_pid(self) -> None:
        """Reads the first report, `process`, so that the process can be ended from now on.

        A process that was killed before it wrote this line leaves only a line break and `exited`.
        """
        with suppress(ProcessLookupError, ValueError):
            pid = json.loads(await self._reader.readline())["pid"]
            self._handle, self._pid = os.pidfd_open(pid), pid

    @property
    def has_exited(self) -> bool:
        """Whether the process has ended, which makes its pidfd readable. There may be unread reports."""
        return self._handle is None or bool(select([self._handle], [], [], 0)[0])

    @property
    def seconds_without_processor(self) -> float:
        """How long the process has waited for a processor on a busy machine, as far as the kernel tells it."""
        return seconds_without_processor(self._pid) if self._pid is not None else 0.0

    async def send_orders(self, orders: OrdersMessage) -> None:
        """Sends the orders of a migration. Raises nothing if the process is gone: its reports tell that."""
        await self.send(orders)

    async def send(self, message: object) -> None:
        """Sends one line of JSON, as `send_orders`."""
        with suppress(ConnectionError):
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()

    async def reports(self) -> AsyncGenerator[Report, None]:
        """Every report up to `exited`, which the forkserver writes. Half a line of a killed process is skipped."""
        with suppress(ConnectionError):
            while line := await self._reader.readline():
                with suppress(ValueError):
                    report: Report = json.loads(line)
                    yield report

    async def kill(self) -> None:
        """Sends SIGKILL. PostgreSQL then rolls back the revision that was running."""
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Closes the socket and the pidfd; the process itself goes on."""
        self._writer.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class ForkserverClient:
    """Owns one forkserver and starts it again when it has died.

    `python` is an interpreter with Alembic and a driver, without it the one of this process. `launched` is a forkserver
    of that interpreter which is starting already.
    """

    def __init__(
        self,
        environment: dict[str, str] | None = None,
        python: Path | None = None,
        launched: ForkserverProcess | None = None,
    ) -> None:
        self._environment = environment
        self.python = str(python or sys.executable)
        self._launched = launched
        self._is_ready = False
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The pid of the forkserver, None before its first start."""
        return self._launched.process.pid if self._launched is not None else None

    @property
    def is_running(self) -> bool:
        """Whether the process of the forkserver exists; it may not be ready yet."""
        return self._launched is not None and self._launched.process.poll() is None

    async def start(self) -> None:
        """Returns when the forkserver is ready, at once if it is already. Raises WorkerUnavailable."""
        async with self._starting:
            if not self.is_running:
                self.stop()
            if self._is_ready:
                return
            if self._launched is None:
                self._launched = await self._launch()
            answer = await self._first_message(self._launched.socket)
            if answer != "ready":
                self.stop()
                raise _not_ready(answer)
            self._is_ready = True

    async def _launch(self) -> ForkserverProcess:
        try:
            # In a thread: Popen waits for exec, which takes long on a busy machine and would block the event loop.
            return await asyncio.to_thread(launch, self.python, self._environment)
        except OSError:
            raise WorkerUnavailable("The interpreter cannot be started") from None

    @staticmethod
    async def _first_message(ours: socket.socket) -> str:
        try:
            async with asyncio.timeout(START_SECONDS):
                return (await asyncio.get_running_loop().sock_recv(ours, 256)).decode()
        except (TimeoutError, ConnectionError):
            return ""

    @asynccontextmanager
    async def run(self, job: Job) -> AsyncIterator[WorkerProcess]:
        """Forks one process for the job and kills it at the end of the block. Raises WorkerUnavailable."""
        ours, theirs = socket.socketpair()
        with theirs:
            await self._hand_over(json.dumps(job).encode(), theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES)
        process = WorkerProcess(reader, writer)
        try:
            await process.read_pid()
            yield process
        finally:
            await process.kill()
            process.close()

    async def ask(self, job: AskedJob, *, timeout_seconds: float, message: object = None) -> Answer:
        """Runs a job that needs no orders and returns its reports in one. After `timeout_seconds` it is killed.

        The time in which a busy machine gave it no processor does not count. `message` is sent to it as JSON. A process
        that another program killed is replaced once: the job is not at fault. Raises WorkerUnavailable.
        """
        answer = await self._ask_once(job, timeout_seconds, message)
        return await self._ask_once(job, timeout_seconds, message) if was_killed(answer) else answer

    async def _ask_once(self, job: AskedJob, timeout_seconds: float, message: object) -> Answer:
        await self.start()  # before the timeout begins, because a start can take long
        answer: dict[str, object] = {"event": "gone"}
        processes: list[WorkerProcess] = []
        asking = asyncio.create_task(self._exchange(job, message, answer, processes))
        try:
            if not await _ends_in_time(asking, processes, timeout_seconds):
                answer.update(event="gone", after_seconds=timeout_seconds)
        finally:
            stopped = asking.cancel()  # the end of its block kills the process
            await asyncio.wait({asking})
        if not stopped:
            asking.result()
        return cast(Answer, answer)

    async def _exchange(
        self, job: AskedJob, message: object, answer: dict[str, object], processes: list[WorkerProcess]
    ) -> None:
        async with self.run(job) as process:
            processes.append(process)
            if message is not None:
                await process.send(message)
            async for report in process.reports():
                ended = report["event"] in ("done", "failed")
                answer.update(report, event=report["event"] if ended else answer["event"])

    def stop(self) -> None:
        """Ends the forkserver. `start` may be called again."""
        launched, self._launched, self._is_ready = self._launched, None, False
        if launched is not None:
            launched.stop()

    async def _hand_over(self, job: bytes, descriptor: int) -> None:
        """Sends the job, and to a new forkserver if this one has died: a job that was not sent did nothing."""
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
        raise WorkerUnavailable("The process that loads Alembic was stopped")


async def _ends_in_time(asking: asyncio.Task[None], processes: list[WorkerProcess], seconds: float) -> bool:
    """Whether the task ends in so many seconds and those in which its process got no processor."""
    began, left = monotonic(), seconds
    while left > 0 and not asking.done():
        await asyncio.wait({asking}, timeout=left)
        idle = sum(process.seconds_without_processor for process in processes)
        left = seconds + idle - (monotonic() - began)
    return asking.done()


def _not_ready(answer: str) -> WorkerUnavailable:
    if answer.startswith("lacks "):
        return WorkerUnavailable(
            f"The interpreter {answer}, or has a version older than Alembic 1.7 or SQLAlchemy 1.4",
            "Install them there, or name the service's own interpreter with --python.",
        )
    return WorkerUnavailable("The process that loads Alembic did not get ready")
