"""Runs commands in processes forked from one that has the libraries loaded: a second saved, hundreds of times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from typing import Any

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Command:
    """`program` is "alembic", "migration-sidecar" or "python", whose first word is the interpreter.

    What it says goes to `output`, its stderr to `errors` if given.
    """

    program: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    output: str
    errors: str = ""


@dataclass
class Nursery:
    """The parent's end; one for each thread, because a nursery waits for one child at a time.

    In an interpreter that lacks our package it starts bare Alembic only.
    """

    python: str = sys.executable
    _server: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self._server = subprocess.Popen(
            [self.python, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, command: Command) -> int:
        """Gives its pid, which stays its own until `wait` was asked for it."""
        return self._ask({"begin": vars(command)})

    def wait(self, pid: int) -> int:
        """Its exit code; negative when a signal ended it, ours after two minutes among them."""
        return self._ask({"wait": pid})

    def close(self) -> None:
        self._server.communicate()

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


class Nurseries:
    """One for each thread that asks, and for each interpreter."""

    OWN = sys.executable

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[Nursery] = []

    def here(self, python: str = OWN) -> Nursery:
        own: dict[str, Nursery] = vars(self._own)
        if python not in own:
            own[python] = Nursery(python)
            self._all.append(own[python])
        return own[python]

    def close(self) -> None:
        for nursery in self._all:
            nursery.close()


def main() -> None:
    """Serves until its input ends."""
    import alembic.command
    import alembic.config
    import asyncpg  # noqa: F401
    import psycopg  # noqa: F401

    programs: dict[str, Any] = {
        "alembic": alembic.config.main,
        "python": lambda: os.execv(sys.argv[1], sys.argv[1:]),
    }
    if find_spec("uvicorn"):
        import uvicorn  # noqa: F401

        import migration_sidecar.cli
        import migration_sidecar.service

        programs["migration-sidecar"] = migration_sidecar.cli.main
    for line in sys.stdin:
        request = json.loads(line)
        answer = _wait(request["wait"]) if "wait" in request else _begin(Command(**request["begin"]), programs)
        print(answer, flush=True)


def _begin(command: Command, programs: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become(command)
        programs[command.program]()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _become(command: Command) -> None:
    nothing, output = os.open(os.devnull, os.O_RDONLY), _opened(command.output)
    errors = _opened(command.errors) if command.errors else output
    for descriptor, stands_for in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, stands_for)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    sys.argv = [command.program, *command.words]
    sys.path[0] = ""


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)


def _wait(pid: int) -> int:
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
