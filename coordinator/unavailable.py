"""Whom the coordinator could not reach or believe (CM-8xx); most of it passes, and all of it is asked again."""

from __future__ import annotations

from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import Problem


class ServiceUnreachable(CoordinatorError):
    code, title, status, retryable = "CM-802", "A service cannot be reached", 503, True
    next_step = "Start the service with its Dapr sidecar, and look into its log if it does not come up."

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} does not answer through Dapr: {reason}.", service=service)


class ServiceSilent(CoordinatorError):
    code, title, status = "CM-803", "A service did not say in time what became of its migration", 504
    next_step = "Bring the service back and read its status (coordinator fleet) before you ask for anything again."

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
    code, title, status, retryable = "CM-811", "The coordinator's own Dapr sidecar does not answer", 503, True
    next_step = "Start the coordinator with dapr run, and wait until its sidecar is up."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The Dapr sidecar of the coordinator cannot be used: {reason}.")
        self.reason = reason


class StateUnavailable(CoordinatorError):
    code, title, status, retryable = "CM-812", "The state store cannot be used", 503, True
    next_step = "Bring the state store back (scripts/infra status) and repeat the request; a repeat is harmless."

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr state could not be read or written: {reason}.")


class StateContended(StateUnavailable):
    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was changed by somebody else each time it was tried")


class DocumentTooLarge(CoordinatorError):
    """A repeat would be refused as well; whoever changes the document has to put less into it."""

    code, title, status = "CM-814", "The run record would be too large", 507
    next_step = "Ask for fewer services or revisions at once; if one answered with far too much, look at that service."

    def __init__(self, key: str, size: int, most: int) -> None:
        super().__init__(f"{key} would take {size} bytes, and the state store is given at most {most}.")


class DamagedRun(CoordinatorError):
    """What is stored under a run's key is no run record that this version can read; it is never written over."""

    code, title = "CM-815", "A run record cannot be read"
    next_step = (
        "Read what happened in the audit (coordinator audit show ID), and let somebody look at this document in the "
        "state store; every other run goes on."
    )

    def __init__(self, request_id: str, key: str) -> None:
        super().__init__(
            f"The document {key} in Dapr state is damaged, or was written by another version.", request_id=request_id
        )


class WorkflowUnavailable(CoordinatorError):
    code, title, status, retryable = "CM-813", "The workflow engine cannot be used", 503, True
    next_step = "Check that placement and scheduler run (scripts/infra status); the run starts by itself afterwards."

    def __init__(self, reason: str) -> None:
        super().__init__(f"Dapr Workflow did not take the order: {reason}.")


class AuditUnavailable(CoordinatorError):
    code, title, status, retryable = "CM-821", "The audit cannot be written", 503, True
    next_step = "Bring the audit service and its database back; waiting runs go on by themselves."

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} could not store audit events: {reason}", service=service)


class AuditNotReady(AuditUnavailable):
    """The audit service answers, but its own migration has not run yet; only that migration may start without it."""

    code, title = "CM-822", "The audit's own database is not migrated yet"
    next_step = "Migrate the audit service (coordinator request with it, or with all); waiting runs then go on."


class BrokerUnavailable(CoordinatorError):
    code, title, status, retryable = "CM-831", "Events cannot be published", 503, True
    next_step = "Bring the broker back (scripts/infra status); events that are owed are published then."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The broker did not take an event: {reason}.")
