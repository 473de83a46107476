"""Loaded by every process whose clock libfaketime fakes. It mends what libfaketime breaks beside the clock.

`time.sleep` waits until a moment of the monotonic clock, and libfaketime 0.9.10 refuses that with EINVAL while it
leaves this clock alone.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
