"""Whom the coordinator could not reach or believe (CM-8xx); most of it passes, and all of it is asked again."""

from __future__ import annotations

from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import Problem


class ServiceUnreachable(CoordinatorError):
    code = "CM-802"

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} does not answer through Dapr: {reason}.", service=service)


class ServiceTimeout(CoordinatorError):
    code = "CM-803"

    def __init__(self, service: str, waited_seconds: int, last: str) -> None:
        super().__init__(f"{service} has said nothing conclusive for {waited_seconds} s. Last: {last}", service=service)


class ServiceRefused(CoordinatorError):
    """A service understood and said no; its own problem is passed on as it came."""

    def __init__(self, service: str, status: int, problem: Problem) -> None:
        super().__init__(problem.detail, service=service)
        self.answered, self.their_problem = status, problem.model_copy(update={"service": problem.service or service})

    @property
    def is_final(self) -> bool:
        """A repeat would be refused as well; unknown operations, overload and outages are not of this kind."""
        passing = self.answered >= 500 or self.answered in (404, 408, 425, 429)
        return not passing and not self.their_problem.retryable

    @property
    def answer_status(self) -> int:
        return self.answered

    def problem(self) -> Problem:
        return self.their_problem


class SidecarUnreachable(CoordinatorError):
    code = "CM-811"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The Dapr sidecar of the coordinator cannot be used: {reason}.")
        self.reason = reason


class StateUnavailable(CoordinatorError):
    code = "CM-812"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr state could not be read or written: {reason}.")


class StateContended(StateUnavailable):
    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was changed by somebody else each time it was tried")


class DocumentTooLarge(CoordinatorError):
    """A repeat would be refused as well; whoever changes the document has to put less into it."""

    code = "CM-814"

    def __init__(self, key: str, size: int, most: int) -> None:
        super().__init__(f"{key} would take {size} bytes, and the state store is given at most {most}.")


class DamagedRun(CoordinatorError):
    """What is stored under a run's key is no run record that this version can read; it is never written over."""

    code = "CM-815"

    def __init__(self, request_id: str, key: str) -> None:
        super().__init__(
            f"The document {key} in Dapr state is damaged, or was written by another version.", request_id=request_id
        )


class WorkflowUnavailable(CoordinatorError):
    code = "CM-813"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr Workflow did not take the order: {reason}.")


class AuditUnavailable(CoordinatorError):
    code = "CM-821"

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} could not store audit events: {reason}", service=service)


class AuditNotReady(AuditUnavailable):
    """The audit service answers, but its own migration has not run yet; only that migration may start without it."""

    code = "CM-822"


class BrokerUnavailable(CoordinatorError):
    code = "CM-831"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The broker did not take an event: {reason}.")
