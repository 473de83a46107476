"""What every bench does: prints its progress, stores its files in one folder, and stops what it started."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench.ground import Say

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def stop_everything_when_ended() -> None:
    """Turns SIGTERM and SIGHUP into an exit, which runs all clean-up. A signal that nohup ignores stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    # timeout(1) sends its signal twice; the second one must not interrupt the clean-up.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def folder_for(state: Path | None, prefix: str) -> Iterator[Path]:
    """The folder `state`, which is not deleted, or a temporary one."""
    if state is not None:
        yield state.absolute()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def progress_printer() -> Say:
    """A function that prints a line to stderr with the seconds since now."""
    begun = time.monotonic()

    def say(text: str) -> None:
        # When the terminal was closed, nothing is printed, and the clean-up continues.
        with suppress(OSError):
            print(f"[{time.monotonic() - begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    return say


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
