"""Follows one run by long polling, through every restart of the coordinator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.client.errors import CannotReach, CommandFailed, Gone, NotListening, Refused
from coordinator.client.exit_codes import WAITING_FOR_A_PERSON
from coordinator.client.views import RunView, read

PAUSE_SECONDS = 1.0
PAUSE_FOR_THE_AUDIT_SECONDS = 0.25
NOT_FOUND = 404
AUDIT_OWED = "The run has ended, but its audit is still to be recorded; the coordinator goes on trying"


class RunSource(Protocol):
    def run(self, request_id: str, wait_seconds: int = 0, after_version: int = 0) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Seen:
    """The run as it is now."""

    document: dict[str, Any]
    run: RunView


@dataclass(frozen=True)
class Waiting:
    """Nothing new can be told at the moment; the watch goes on."""

    why: str


@dataclass(frozen=True)
class Patience:
    """How long a watch bears silence, an unknown id (an event takes a moment), and an ended run without its audit."""

    silence_seconds: float = 600
    start_seconds: float = 10  # from the start of an application until it listens
    unknown_seconds: float = 10
    audit_seconds: float = 5
    wait_seconds: int = 20


class Watch:
    """Yields what is new; ends with the run, or where only a person can move it."""

    def __init__(
        self,
        source: RunSource,
        request_id: str,
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._request_id, self._patience = source, request_id, patience
        self._sleep, self._clock = sleep, clock
        self._seen: Seen | None = None
        self._heard_at = clock()
        self._ended_at: float | None = None

    def __iter__(self) -> Iterator[Seen | Waiting]:
        told: set[type[CommandFailed]] = set()
        while True:
            asked_at = self._clock()
            try:
                document = self._ask()
            except CommandFailed as error:
                failure = self._give_up_or_go_on(error)
                # Said once, and once more where it turns out that waiting alone may not help.
                if not told or (isinstance(failure, Gone) and Gone not in told):
                    yield Waiting(_sentence(failure, self._patience))
                told.add(type(failure))
                self._sleep(PAUSE_SECONDS)
                continue
            answered_in = self._clock() - asked_at
            told.clear()
            self._heard_at = self._clock()
            if self._seen is None or document != self._seen.document:
                self._seen = Seen(document, read(RunView, document))
                yield self._seen
            elif answered_in < PAUSE_SECONDS:
                # No news and no long poll: do not ask in a tight loop.
                self._sleep(PAUSE_SECONDS if self._ended_at is None else PAUSE_FOR_THE_AUDIT_SECONDS)
            if self._is_over(self._seen.run):
                if self._seen.run.ended and self._seen.run.owes_the_audit:
                    yield Waiting(AUDIT_OWED)
                return

    def _is_over(self, run: RunView) -> bool:
        if not run.ended:
            return run.state in WAITING_FOR_A_PERSON
        if self._ended_at is None:
            self._ended_at = self._clock()
        # Whoever reads the audit after a watch expects the run's end in it.
        return not run.owes_the_audit or self._clock() - self._ended_at >= self._patience.audit_seconds

    def _ask(self) -> dict[str, Any]:
        # The first look returns at once, so that there is something to show; an ended run hardly changes any more.
        if self._seen is None or self._seen.run.ended:
            return self._source.run(self._request_id)
        return self._source.run(self._request_id, self._patience.wait_seconds, self._seen.run.version)

    def _give_up_or_go_on(self, failure: CommandFailed) -> CommandFailed:
        """Raises what ends the watch; else gives what this failure means after so long a silence."""
        silent_for = self._clock() - self._heard_at
        if isinstance(failure, Refused) and failure.http_status == NOT_FOUND:
            if self._seen or silent_for >= self._patience.unknown_seconds:
                raise failure
            return failure
        starting = isinstance(failure, NotListening) and silent_for < self._patience.start_seconds
        if isinstance(failure, NotListening) and not starting:
            failure = Gone()
        never_answered = self._seen is None and isinstance(failure, CannotReach) and not starting
        bad_input = isinstance(failure, Refused) and failure.http_status < 500
        if never_answered or bad_input or silent_for >= self._patience.silence_seconds:
            raise failure
        return failure


def _sentence(failure: CommandFailed, patience: Patience) -> str:
    if isinstance(failure, Refused) and failure.http_status == NOT_FOUND:
        return f"No such run yet; an event takes a moment, waiting up to {patience.unknown_seconds:.0f} s for it"
    reason = failure.problem.get("detail") or failure.problem.get("title")
    if isinstance(failure, Gone):
        return f"Still no answer: {reason}. What to do: {failure.problem['next_step']}; this watch waits for them"
    return f"No answer from the coordinator ({reason}); the run does not depend on this command, trying again"
