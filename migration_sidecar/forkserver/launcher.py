"""Starts the program that loads Alembic, and does not wait until it has; light, so that it can come first."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BOOTSTRAP = Path(__file__).parents[1] / "worker" / "server" / "bootstrap.py"
_NOT_FOR_MIGRATIONS = ("DAPR_API_TOKEN", "APP_API_TOKEN")


@dataclass(frozen=True)
class Launched:
    """A forkserver and our end of its socket; it ends when that is closed."""

    process: subprocess.Popen[bytes]
    socket: socket.socket

    def stop(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=10)


def launch(python: str, environment: Mapping[str, str] | None = None, driver: str = "") -> Launched:
    """Raises OSError. `driver`, as in a URL, is the only one loaded beforehand; without it every usual one is."""
    inherited = os.environ if environment is None else environment
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            process = subprocess.Popen(
                [python, str(_BOOTSTRAP), str(theirs.fileno()), driver],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={key: value for key, value in inherited.items() if key not in _NOT_FOR_MIGRATIONS},
            )
    except OSError:
        ours.close()
        raise
    ours.setblocking(False)
    return Launched(process, ours)
