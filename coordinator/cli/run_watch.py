"""Follows one run by long polling. The watch goes on while the coordinator restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.client.errors import AppNotReady, AppNotRunning, CannotReach, ClientError, Refused
from coordinator.client.exit_codes import WAITING_FOR_A_PERSON
from coordinator.client.views import RunView, read

PAUSE_SECONDS = 1.0
PAUSE_FOR_THE_AUDIT_SECONDS = 0.25
NOT_FOUND = 404
AUDIT_OWED = "The run has ended, but its audit is still to be recorded; the coordinator tries again"


class RunSource(Protocol):
    """The part of CoordinatorClient that a watch needs; tests have their own."""

    def run(self, request_id: str, wait_seconds: int = 0, after_version: int = 0) -> dict[str, Any]:
        """As CoordinatorClient.run."""
        ...


@dataclass(frozen=True)
class RunSeen:
    """News: the run has changed. `document` is the JSON that `run` was read from."""

    document: dict[str, Any]
    run: RunView


@dataclass(frozen=True)
class RunPending:
    """News: the coordinator does not answer, or does not know the run yet. The watch goes on."""

    why: str


@dataclass(frozen=True)
class WatchLimits:
    """How long a watch waits, in seconds, before it gives up."""

    silence_seconds: float = 600  # without an answer
    start_seconds: float = 10  # from the start of an application until it listens
    unknown_seconds: float = 10  # for a run that the coordinator does not know: an event needs a moment to arrive
    audit_seconds: float = 5  # after the end of the run, until the audit has all its events
    wait_seconds: int = 20  # for one answer, when nothing changes


class Watch:
    """Yields each news of a run. Ends when the run ends, or when only a person can continue it.

    Raises CommandFailed when it gives up. `sleep` and `clock` are for tests.
    """

    def __init__(
        self,
        source: RunSource,
        request_id: str,
        limits: WatchLimits = WatchLimits(),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._request_id, self._limits = source, request_id, limits
        self._sleep, self._clock = sleep, clock
        self._latest: RunSeen | None = None
        self._answered_at = clock()
        self._ended_at: float | None = None

    def __iter__(self) -> Iterator[RunSeen | RunPending]:
        announced: set[type[ClientError]] = set()
        while True:
            asked_at = self._clock()
            try:
                document = self._ask()
            except ClientError as error:
                failure = self._give_up_or_continue(error)
                # Announced once, and once more if waiting alone may not help.
                if not announced or (isinstance(failure, AppNotRunning) and AppNotRunning not in announced):
                    yield RunPending(_explanation(failure, self._limits))
                announced.add(type(failure))
                self._sleep(PAUSE_SECONDS)
                continue
            answered_in = self._clock() - asked_at
            announced.clear()
            self._answered_at = self._clock()
            if self._latest is None or document != self._latest.document:
                self._latest = RunSeen(document, read(RunView, document))
                yield self._latest
            elif answered_in < PAUSE_SECONDS:
                # No news, and the answer did not wait for any: do not ask again at once.
                self._sleep(PAUSE_SECONDS if self._ended_at is None else PAUSE_FOR_THE_AUDIT_SECONDS)
            if self._is_over(self._latest.run):
                if self._latest.run.ended and self._latest.run.owes_the_audit:
                    yield RunPending(AUDIT_OWED)
                return

    def _is_over(self, run: RunView) -> bool:
        if not run.ended:
            return run.state in WAITING_FOR_A_PERSON
        if self._ended_at is None:
            self._ended_at = self._clock()
        # A user who reads the audit after a watch expects the end of the run in it.
        return not run.owes_the_audit or self._clock() - self._ended_at >= self._limits.audit_seconds

    def _ask(self) -> dict[str, Any]:
        # The first call returns at once, so that there is something to show. An ended run hardly changes any more.
        if self._latest is None or self._latest.run.ended:
            return self._source.run(self._request_id)
        return self._source.run(self._request_id, self._limits.wait_seconds, self._latest.run.version)

    def _give_up_or_continue(self, failure: ClientError) -> ClientError:
        """Raises the failure if it ends the watch. Else returns it, or Gone if NotListening lasted too long."""
        silent_for = self._clock() - self._answered_at
        if isinstance(failure, Refused) and failure.http_status == NOT_FOUND:
            if self._latest or silent_for >= self._limits.unknown_seconds:
                raise failure
            return failure
        starting = isinstance(failure, AppNotReady) and silent_for < self._limits.start_seconds
        if isinstance(failure, AppNotReady) and not starting:
            failure = AppNotRunning()
        never_answered = self._latest is None and isinstance(failure, CannotReach) and not starting
        bad_input = isinstance(failure, Refused) and failure.http_status < 500
        if never_answered or bad_input or silent_for >= self._limits.silence_seconds:
            raise failure
        return failure


def _explanation(failure: ClientError, limits: WatchLimits) -> str:
    if isinstance(failure, Refused) and failure.http_status == NOT_FOUND:
        return f"No such run yet; an event needs a moment to arrive, waiting up to {limits.unknown_seconds:.0f} s"
    reason = failure.problem.get("detail") or failure.problem.get("title")
    if isinstance(failure, AppNotRunning):
        return f"Still no answer: {reason}. What to do: {failure.problem['next_step']}; this command goes on waiting"
    return f"No answer from the coordinator ({reason}); the run does not depend on this command, trying again"
