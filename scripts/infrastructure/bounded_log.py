"""Keeps the log of a running program small: what is above the limit goes to `<log>.older`, which is written anew.

A process of its own beside the program. If it dies the log is only long again; a pipe would take the program with it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.infrastructure import private
from scripts.infrastructure.supervise import Program

MOST_BYTES = 20_000_000
SECONDS = 2.0
CHUNK = 1 << 20


def keeper_of(program: Program, folder: Path, most: int = MOST_BYTES) -> Program:
    """The process that keeps the log of the program small until the program ends. It runs in `folder`."""
    command = [sys.executable, "-m", __name__, program.name, str(program.directory.absolute()), str(most)]
    return Program(f"{program.name}.log-keeper", command, program.directory, working_folder=folder)


def keep_small(log: Path, is_running: Callable[[], bool], most: int, seconds: float = SECONDS) -> None:
    """Looks at the log until the program has ended."""
    while is_running():
        shorten(log, most)
        time.sleep(seconds)
    shorten(log, most)


def shorten(log: Path, most: int) -> bool:
    """Moves the last `most` bytes of a log that is larger to `<log>.older`, and lets the log begin again.

    The program writes at the end of the file wherever that is, so it goes on at the beginning. A line that it writes
    between the last read and the cut is lost. Returns whether anything was moved.
    """
    if not log.exists() or (size := log.stat().st_size) <= most:
        return False
    with log.open("r+b") as full, private.create(log.with_suffix(".log.older")) as older:
        full.seek(size - most)
        while chunk := full.read(CHUNK):
            older.write(chunk)
        full.truncate(0)
    return True


def main(arguments: Sequence[str]) -> None:
    """Called as a process: name and folder of the program, and the limit in bytes."""
    name, folder, most = arguments
    program = Program(name, (), Path(folder))
    keep_small(program.log, lambda: program.process() is not None, int(most))


if __name__ == "__main__":
    os.umask(private.UMASK)
    main(sys.argv[1:])
