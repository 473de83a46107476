"""Interrupts code that takes too long. Only the process itself can say at which line it is."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migration_sidecar.protocol.reports import SendReport


@contextmanager
def time_limit(seconds: float, refusal: Callable[[str], BaseException], report: SendReport) -> Iterator[None]:
    """After so many seconds reports `hangs` and raises `refusal`, called with file and line. 0 means no limit.

    If the code catches the error and goes on, the service ends the process a little later.
    """
    if not seconds:
        yield
        return

    def out_of_time(_: int, frame: Any) -> None:
        report({"event": "hangs", "after_seconds": seconds})
        raise refusal(_line_of(frame))

    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _line_of(frame: Any) -> str:
    """File and line of the innermost module that is being imported, or an empty text."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else ""
