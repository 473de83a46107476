"""A warm process that has Alembic loaded and forks one fresh migration process per job.

It serves jobs from the SOCK_SEQPACKET socket whose number is its first argument: one JSON message per job with one end
of a socket pair, which carries orders and reports; its last line, `exited`, is written here when the process was
reaped. Python's own multiprocessing forkserver is not used: its children import the parent's main module and need our
interpreter.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migration_sidecar.protocol.jobs import Job
    from migration_sidecar.protocol.reports import Exited

NEEDED = (("alembic", (1, 7)), ("sqlalchemy", (1, 4)))
FIRST = (  # what every job needs
    "alembic.command",
    "migration_sidecar.worker.server.stale_bytecode",
    "migration_sidecar.worker.scripts.history_loader",
    "migration_sidecar.worker.server.job",
)
THEN = (  # what most need, loaded while there is no job
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
    gc.disable()  # it would look through all that is loaded, again and again, and find nothing
    server = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the parent, which decides
    # Mako would load it to colour the errors of templates; here are neither templates nor eyes.
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
    server.send(b"ready")
    _serve(server, [*THEN, *_modules_of(sys.argv[2])])


def _modules_of(driver: str) -> list[str]:
    """Of one driver, as in a URL; of all where nobody knows which one it will be."""
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
    """Until the parent closes its end."""
    running: dict[int, tuple[int, int]] = {}  # a process's pidfd: its pid, and our end of its channel
    while True:
        ready, _, _ = select.select([server.fileno(), *running], [], [], 0 if still_to_load else None)
        if not ready:
            _load(still_to_load)
        for handle in running.keys() & set(ready):
            _reap(handle, *running.pop(handle))
        if server.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(server, MESSAGE_BYTES, 1)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                server.close()
                for handle, (_, channel) in running.items():  # or another's reports would not end before ours
                    os.close(handle)
                    os.close(channel)
                _child(json.loads(message), descriptors[0])
            running[os.pidfd_open(pid)] = (pid, descriptors[0])


def _load(names: list[str]) -> None:
    """The next one, so that a job is not kept waiting for the others."""
    with suppress(ImportError):  # a service need not have every driver
        importlib.import_module(names.pop(0))


def _reap(handle: int, pid: int, channel: int) -> None:
    os.close(handle)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    end: Exited = {
        "event": "exited",
        "code": None if killed else os.WEXITSTATUS(status),
        "signal": os.WTERMSIG(status) if killed else None,
    }
    with socket.socket(fileno=channel) as reports, suppress(OSError):
        # A line break first: the process may have died within a line. And nobody is waited for.
        reports.send(b"\n" + json.dumps(end).encode() + b"\n", socket.MSG_DONTWAIT)


def _child(job: Job, channel: int) -> None:
    try:
        parent = os.getppid()
        # A service that dies takes its migration along: PostgreSQL rolls back to a whole revision.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        gc.freeze()  # what is shared with the forkserver is not copied only because the collector touches it
        gc.enable()
        _silence()
        _limit(job["memory_bytes"])
        from migration_sidecar.worker.server.job import carry_out
        from migration_sidecar.worker.server.stale_bytecode import trust_no_stale_bytecode

        trust_no_stale_bytecode()
        carry_out(job, socket.socket(fileno=channel))
    finally:
        os._exit(0)


def _silence() -> None:
    # What a revision prints is unbounded and may hold data; the journal and the reports tell what happened.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _limit(memory_bytes: int) -> None:
    """A revision that takes all memory gets MemoryError, and a crash leaves no core file with data in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if memory_bytes and (most == resource.RLIM_INFINITY or memory_bytes < most):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, most))
