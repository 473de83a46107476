"""How long a caller waits until env.py and the revision files are loaded: they tell where the database is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from time import monotonic


@dataclass(frozen=True)
class LoadDeadline:
    """The endpoint waits some seconds, then raises EnvironmentStillLoading; other callers wait to the end.

    Loading goes on in the background, whoever stops waiting for it.
    """

    at: float = inf  # by time.monotonic()
    # For callers that only read: while env.py is loaded, what it told before or what the settings say is good enough.
    allow_unprobed: bool = False

    @classmethod
    def after(cls, seconds: float) -> LoadDeadline:
        """The deadline that many seconds from now."""
        return cls(monotonic() + seconds)

    def or_after(self, seconds: float) -> LoadDeadline:
        """The same, or that many seconds from now if that is sooner."""
        return replace(self, at=min(self.at, monotonic() + seconds))

    @property
    def seconds_left(self) -> float | None:
        """None without a limit, as asyncio takes it."""
        return None if self.at == inf else max(0.0, self.at - monotonic())


UNLIMITED = LoadDeadline()
