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
    form: str = ""  # of env.py's transactions: each or one; drawn where it is empty
    nth: int = 0  # arrival at the failpoint; drawn where it is 0
    quota: str = ""
    number: int = 0
    seed: int = 0
    replicas: int = 0  # of a race; drawn where it is 0

    def __str__(self) -> str:
        words = [self.part, str(self.number), self.failpoint, self.action, " + ".join(self.nemeses), self.form]
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
    own_troubles: list[str] = field(default_factory=list)  # the campaign's: what it found then is no judgement
    set_aside: list[str] = field(default_factory=list)  # what would be violations without these troubles
    recovery_seconds: float | None = None
    lock_free_seconds: float | None = None
    slowest_health_seconds: float = 0.0
    looks_not_judged: int = 0  # at live health: late, and the machine had no processor for the service
    repeated: int = 0  # orders that were sent again because no answer came
    seconds: float = 0.0
    server_log: list[str] = field(default_factory=list)  # an excerpt, kept where something is wrong

    @property
    def judged(self) -> bool:
        """Whether the campaign's own server and fault makers worked as they should."""
        return not self.own_troubles

    def set_aside_if_not_judged(self) -> None:
        """Called at the end of a run: one that is not judged is no hit and no violation, and it is made up for."""
        if self.own_troubles:
            self.set_aside, self.violations, self.hit = [*self.set_aside, *self.violations], [], False

    @property
    def resolved(self) -> bool:
        """Its outcome was unknown for a while."""
        return self.hit and any(number > 1 for number in self.attempts)
