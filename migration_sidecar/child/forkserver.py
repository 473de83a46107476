"""A warm process that has Alembic loaded and forks one fresh migration process per job.

`python -m migration_sidecar.child.forkserver FD` serves jobs from the SOCK_SEQPACKET socket FD: one JSON message per
job with one end of a socket pair, which carries orders and reports, and whose end means that the process is gone.
Python's own multiprocessing forkserver is not used: its children import the parent's main module and need our
interpreter.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
from contextlib import suppress

PRELOAD = (
    "alembic.command",
    "alembic.config",
    "asyncio",
    "logging.config",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.asyncio",
    "psycopg",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "migration_sidecar.environment",
    "migration_sidecar.child.hook",
    "migration_sidecar.child.inspection",
    "migration_sidecar.child.process",
    "migration_sidecar.child.rendering",
)
MESSAGE_BYTES = 1 << 17
PR_SET_PDEATHSIG = 1


def main() -> None:
    server = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the parent, which decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children are reaped by the kernel
    for name in PRELOAD:
        with suppress(ImportError):  # a service need not have both drivers
            importlib.import_module(name)
    with suppress(ImportError):
        importlib.import_module("migration_sidecar.child.process").parser()
    gc.freeze()  # keeps the children from copying pages only because the collector touched them
    server.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, MESSAGE_BYTES, 1)
        if not message:
            return
        if os.fork() == 0:
            server.close()
            _child(json.loads(message), descriptors[0])
        os.close(descriptors[0])


def _child(job: dict[str, object], channel: int) -> None:
    try:
        parent = os.getppid()
        # A service that dies takes its migration along: PostgreSQL rolls back to a whole revision.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _silence()
        from migration_sidecar.child.process import carry_out

        carry_out(job, socket.socket(fileno=channel))
    finally:
        os._exit(0)


def _silence() -> None:
    # What a revision prints is unbounded and may hold data; the journal and the reports tell what happened.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    main()
