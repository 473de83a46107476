"""How long whoever asks can wait for files that are being loaded: a person to the end, the endpoint some seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

_until: ContextVar[float] = ContextVar("waiting_until", default=inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Within the block, and in tasks that are begun in it; a shorter time that holds already stays."""
    token = _until.set(min(_until.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def as_long_as_it_takes() -> None:
    """For a task that outlives the request it was begun in."""
    _until.set(inf)


def seconds_left() -> float | None:
    left = _until.get() - monotonic()
    return None if left == inf else max(0.0, left)
