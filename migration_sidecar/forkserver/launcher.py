"""Starts the forkserver without waiting for it. Needs few modules, so that the command line can do it first."""

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
class ForkserverProcess:
    """A forkserver's process and our end of its socket. It ends when that end is closed."""

    process: subprocess.Popen[bytes]
    socket: socket.socket

    def stop(self) -> None:
        """Ends the forkserver and waits for it, at most ten seconds."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=10)


def launch(python: str, environment: Mapping[str, str] | None = None, driver: str = "") -> ForkserverProcess:
    """Starts a forkserver. Raises OSError if the interpreter cannot be started.

    It preloads the driver of a scheme such as `postgresql+asyncpg`, or all usual drivers if `driver` is empty.
    """
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
    return ForkserverProcess(process, ours)
