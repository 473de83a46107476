"""Runs in the copy under test: has its command line loaded and forks one real process per order.

A start costs a second and a half of imports otherwise. What is forked has its own memory, sockets, loop and forkserver.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

import uvicorn

import migration_sidecar.cli
import migration_sidecar.service

PR_SET_PDEATHSIG = 1
LOADED = (uvicorn, migration_sidecar.service)  # before the first fork, so that no service waits for it


def main() -> None:
    """Orders are lines {"argv", "environment", "log"}; answers {"pid"} at once and {"ended", "status"} later."""
    while True:
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], 0.02)
        _reap()
        if ready:
            line = sys.stdin.readline()
            if not line:
                return
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(order)
            _say(pid=pid)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(ended=pid, status=os.waitstatus_to_exitcode(status))


def _become(order: dict[str, Any]) -> NoReturn:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["environment"])
    if "LD_PRELOAD" in order["environment"]:  # only a fresh start loads it
        code = "from migration_sidecar.cli import main; main()"
        os.execv(sys.executable, [sys.executable, "-P", "-c", code, *order["argv"]])
    sys.argv = ["migration-sidecar", *order["argv"]]
    status = 1
    try:
        migration_sidecar.cli.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
