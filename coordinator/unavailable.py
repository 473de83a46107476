"""Errors of services that could not be reached or answered unusably (CM-8xx). Most are temporary; callers retry."""

from __future__ import annotations

from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import Problem


class ServiceUnreachable(CoordinatorError):
    """A service does not answer through Dapr."""

    code = "CM-802"

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} does not answer through Dapr: {reason}.", service=service)


class ServiceTimeout(CoordinatorError):
    """A service gave no conclusive answer for `waited_seconds`; `last` is the last error."""

    code = "CM-803"

    def __init__(self, service: str, waited_seconds: int, last: str) -> None:
        super().__init__(f"{service} has said nothing conclusive for {waited_seconds} s. Last: {last}", service=service)


class ServiceRefused(CoordinatorError):
    """A service refused the call. Its own problem is passed on unchanged, with its HTTP status `answered`."""

    def __init__(self, service: str, status: int, problem: Problem) -> None:
        super().__init__(problem.detail, service=service)
        self.answered, self.their_problem = status, problem.model_copy(update={"service": problem.service or service})

    @property
    def is_final(self) -> bool:
        """Whether a repeat would be refused as well. False for unknown operations, overload and outages."""
        passing = self.answered >= 500 or self.answered in (404, 408, 425, 429)
        return not passing and not self.their_problem.retryable

    @property
    def answer_status(self) -> int:
        """The HTTP status that the service answered."""
        return self.answered

    def problem(self) -> Problem:
        """The problem that the service answered, with the name of the service."""
        return self.their_problem


class SidecarUnreachable(CoordinatorError):
    """The coordinator's own daprd does not answer, or refuses calls."""

    code = "CM-811"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The Dapr sidecar of the coordinator cannot be used: {reason}.")
        self.reason = reason


class StateUnavailable(CoordinatorError):
    """The state store could not be read or written through Dapr."""

    code = "CM-812"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr state could not be read or written: {reason}.")


class StateContended(StateUnavailable):
    """Another writer changed the document before each of our attempts to replace it."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was changed by somebody else each time it was tried")


class DocumentTooLarge(CoordinatorError):
    """The document is larger than the state store accepts. A repeat does not help: the caller must store less."""

    code = "CM-814"

    def __init__(self, key: str, size: int, most: int) -> None:
        super().__init__(f"{key} would take {size} bytes, and the state store is given at most {most}.")


class DamagedRun(CoordinatorError):
    """The document under a run's key is no run record that this version can read. It is never overwritten."""

    code = "CM-815"

    def __init__(self, request_id: str, key: str) -> None:
        super().__init__(
            f"The document {key} in Dapr state is damaged, or was written by another version.", request_id=request_id
        )


class UnprovenRun(DamagedRun):
    """A run that goes on, whose record does not bear the coordinator's signature: nothing is done for it."""

    next_step = (
        "If it is a run of an earlier release, or its key was retired, start the coordinator once with"
        " COORDINATOR_UNSIGNED_RUNS=accept; else somebody else has written it: see who can reach the state store."
    )

    def __init__(self, request_id: str, key: str) -> None:
        CoordinatorError.__init__(
            self,
            f"The document {key} in Dapr state does not bear the coordinator's signature, so it is not carried out.",
            request_id=request_id,
        )


class WorkflowUnavailable(CoordinatorError):
    """Dapr's workflow engine did not schedule, describe or end a workflow."""

    code = "CM-813"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr Workflow did not take the order: {reason}.")


class AuditUnavailable(CoordinatorError):
    """The audit service did not store events; they stay in their outbox or spool."""

    code = "CM-821"

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} could not store audit events: {reason}", service=service)


class AuditNotReady(AuditUnavailable):
    """The audit service answers, but its own migration has not run yet; only that migration may start without it."""

    code = "CM-822"


class BrokerUnavailable(CoordinatorError):
    """The broker did not accept an event; the event is published again later."""

    code = "CM-831"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The broker did not take an event: {reason}.")
