"""Ends what takes too long from within, because only this process can say at which line it is."""

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
    """Raises `refusal` with the line; code that swallows it is ended by the parent, to whom `hangs` was reported."""
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
    """The line of the file whose import is under way; its functions may be anywhere."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else ""
