"""The forkserver: a process that has loaded Alembic and forks one worker process per job.

It reads jobs from the SOCK_SEQPACKET socket whose number is its first argument. Each is one JSON message with one end
of a socket pair for the worker's orders and reports. When the worker is gone, the forkserver writes the last report,
`exited`. Python's multiprocessing forkserver is not used: its children import the parent's main module and need our
interpreter.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from migration_sidecar.worker.server import memory_watch
from migration_sidecar.worker.server.memory_watch import MemoryWatch

if TYPE_CHECKING:
    from migration_sidecar.protocol.jobs import Job
    from migration_sidecar.protocol.reports import Exited

NEEDED = (("alembic", (1, 7)), ("sqlalchemy", (1, 4)))
FIRST = (  # loaded before the first job: every job needs them
    "alembic.command",
    "migration_sidecar.worker.server.stale_bytecode",
    "migration_sidecar.worker.scripts.history_loader",
    "migration_sidecar.worker.server.job",
)
THEN = (  # loaded while no job arrives: most jobs need them
    "migration_sidecar.environment",
    "migration_sidecar.worker.session.configure_hook",
    "migration_sidecar.worker.env.env_analysis",
    "migration_sidecar.worker.server.warmup",
    "sqlalchemy.dialects.postgresql",
    "logging.config",
)
DRIVERS = {
    "psycopg": ("psycopg", "sqlalchemy.dialects.postgresql.psycopg"),
    "asyncpg": ("sqlalchemy.ext.asyncio", "asyncpg", "sqlalchemy.dialects.postgresql.asyncpg"),
    "psycopg2": ("psycopg2", "sqlalchemy.dialects.postgresql.psycopg2"),
}
MESSAGE_BYTES = 1 << 17
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Loads Alembic, says `ready` (or what is missing), and serves jobs until the service closes the socket."""
    gc.disable()  # everything loaded here stays, so collecting would only cost time
    server = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C in a terminal reaches the service too, and the service decides
    # Mako imports pygments only to colour template errors, which are never shown here.
    sys.modules["pygments"] = None  # type: ignore[assignment]
    lacking = [name for name, oldest in NEEDED if not _has(name, oldest)]
    if lacking:
        server.send(f"lacks {' and '.join(lacking)}".encode())
        return
    for name in FIRST:
        importlib.import_module(name)
    del sys.modules["pygments"]
    from migration_sidecar.worker.server import job as process

    process.parser()
    try:
        server.send(b"ready")
    except BrokenPipeError:
        return  # the service has ended meanwhile
    _serve(server, [*THEN, *_modules_of(sys.argv[2])])


def _modules_of(driver: str) -> list[str]:
    """The modules of a driver, named as in a URL, or of all drivers when it is not known."""
    names = [driver.partition("+")[2] or "psycopg2"] if driver else list(DRIVERS)
    return [module for name in names for module in DRIVERS.get(name, ())]


def _has(name: str, oldest: tuple[int, int]) -> bool:
    try:
        version = importlib.import_module(name).__version__
    except ImportError:
        return False
    major, minor = str(version).split(".")[:2]
    return (int(major), int(minor)) >= oldest


def _serve(server: socket.socket, still_to_load: list[str]) -> None:
    """Forks a worker per job and loads the rest in between, until the service closes its end of the socket."""
    # By pidfd of a worker: its pid, our copy of its end of the socket pair, and the watch over its memory.
    running: dict[int, tuple[int, int, MemoryWatch]] = {}
    while True:
        pause = 0 if still_to_load else memory_watch.WATCH_SECONDS if running else None
        ready, _, _ = select.select([server.fileno(), *running], [], [], pause)
        if not ready and still_to_load:
            _load(still_to_load)
        for handle in running.keys() - set(ready):
            running[handle][2].check(handle)
        for handle in running.keys() & set(ready):
            _reap(handle, *running.pop(handle))
        if server.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(server, MESSAGE_BYTES, 1)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                server.close()
                for handle, (_, channel, _) in running.items():  # else their reports would not end while this one lives
                    os.close(handle)
                    os.close(channel)
                _child(json.loads(message), descriptors[0])
            watch = MemoryWatch(pid, json.loads(message)["memory_bytes"])
            running[os.pidfd_open(pid)] = (pid, descriptors[0], watch)


def _load(names: list[str]) -> None:
    """Imports one module, so that a job that arrives meanwhile waits for one only."""
    with suppress(ImportError):  # a service need not have every driver
        importlib.import_module(names.pop(0))


def _reap(handle: int, pid: int, channel: int, watch: MemoryWatch) -> None:
    os.close(handle)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    end: Exited = {
        "event": "exited",
        "code": None if killed else os.WEXITSTATUS(status),
        "signal": os.WTERMSIG(status) if killed else None,
    }
    if watch.has_ended_it:
        end["over_memory"] = True
    with socket.socket(fileno=channel) as reports, suppress(OSError):
        # A line break first, because the worker may have died within a line. The forkserver never waits for a reader.
        reports.send(b"\n" + json.dumps(end).encode() + b"\n", socket.MSG_DONTWAIT)


def _child(job: Job, channel: int) -> None:
    try:
        parent = os.getppid()
        # The worker dies with the service; PostgreSQL then rolls back to a whole revision.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        gc.freeze()  # else the collector would touch, and so copy, all memory that is shared with the forkserver
        gc.enable()
        _redirect_output()
        memory_watch.limit_own_memory(job["memory_bytes"])
        from migration_sidecar.worker.server.job import run_job
        from migration_sidecar.worker.server.stale_bytecode import ignore_stale_bytecode

        ignore_stale_bytecode()
        run_job(job, socket.socket(fileno=channel))
    finally:
        os._exit(0)


def _redirect_output() -> None:
    # What a revision prints has no limit and may hold data, so it is discarded.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
