"""How every bench conducts itself: it tells what it does, keeps its files in one folder, and stops what it started."""

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

ENDING = (signal.SIGTERM, signal.SIGHUP)


def stop_everything_when_ended() -> None:
    """By SIGTERM or SIGHUP: both become an exit, on whose way out all is stopped; what nohup ignores stays so."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    # timeout(1) sends its signal twice; the second must not end the stopping.
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def folder_for(state: Path | None, prefix: str) -> Iterator[Path]:
    """The folder that was asked for, which stays, or one that goes."""
    if state is not None:
        yield state.absolute()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def teller() -> Say:
    begun = time.monotonic()

    def say(text: str) -> None:
        # A terminal that was closed hears nothing more, and everything is stopped all the same.
        with suppress(OSError):
            print(f"[{time.monotonic() - begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    return say


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
