"""What a run was to be, and what came of it; both travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spec:
    """What a run is; the same spec replays it."""

    part: str
    failpoint: str = ""
    action: str = ""
    nemeses: tuple[str, ...] = ()
    quota: str = ""
    number: int = 0
    seed: int = 0
    replicas: int = 0  # of a race; drawn where it is 0

    def __str__(self) -> str:
        words = [self.part, str(self.number), self.failpoint, self.action, " + ".join(self.nemeses)]
        return " ".join(word for word in words if word)


@dataclass
class Outcome:
    """What came of a run."""

    spec: dict[str, Any]
    hit: bool = False
    states: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    recovery_seconds: float | None = None
    lock_free_seconds: float | None = None
    slowest_health_seconds: float = 0.0
    repeated: int = 0  # orders that were sent again because no answer came
    seconds: float = 0.0
    server_log: list[str] = field(default_factory=list)  # an excerpt, kept where something is wrong

    @property
    def resolved(self) -> bool:
        """Its outcome was unknown for a while."""
        return self.hit and any(number > 1 for number in self.attempts)
