"""How long a caller waits for the loading of env.py and revision files: no limit in a terminal, seconds in the API.

The deadline is a context variable, so it holds for everything that is called in the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

_until: ContextVar[float] = ContextVar("waiting_until", default=inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Sets the deadline for the block and the tasks started in it. An earlier deadline that is set already stays."""
    token = _until.set(min(_until.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def as_long_as_it_takes() -> None:
    """Removes the deadline, for a task that goes on after the request that started it."""
    _until.set(inf)


def seconds_left() -> float | None:
    """The seconds until the deadline, None without one."""
    left = _until.get() - monotonic()
    return None if left == inf else max(0.0, left)
