"""Everything the coordinator refuses or cannot do; each error says what happened, the catalogue says the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import ClassVar, Self

from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.contract.strict_json import DuplicateKey, NotStorable
from migration_sidecar.contract.strict_json import quote_for_message as quote_for_message


class CoordinatorError(Exception):
    """Root of the tree. The catalogue has what belongs to its code; a class may have a more special next step."""

    code: ClassVar[str] = "CM-901"
    status: int | None = None  # where it is another one than the catalogue's
    next_step: str | None = None

    def __init__(self, detail: str, *, request_id: str | None = None, service: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.request_id, self.service = detail, request_id, service

    @property
    def answer_status(self) -> int:
        return self.status or PROBLEM_KINDS[self.code].status or 500

    @property
    def retryable(self) -> bool:
        return PROBLEM_KINDS[self.code].retryable

    @property
    def is_refusal(self) -> bool:
        """Whether the sender is told no; a passing outage is none."""
        return not self.retryable

    def about(self, request_id: str) -> Self:
        """The same error, naming the request it belongs to."""
        self.request_id = self.request_id or request_id
        return self

    def problem(self) -> Problem:
        facts = {"next_step": self.next_step, "request_id": self.request_id, "service": self.service}
        return Problem.of(self.code, self.detail, retryable=self.retryable, **facts)


class InternalError(CoordinatorError):
    """The last resort: what went wrong is in the log, never in the answer."""

    def __init__(self) -> None:
        super().__init__("Something unexpected happened inside the coordinator; nothing more is said here on purpose.")


# --- the body (CM-1xx) ------------------------------------------------------------------------------------------------


class NotJson(CoordinatorError):
    code = "CM-101"


class WrongContentType(NotJson):
    status = 415

    def __init__(self, content_type: str) -> None:
        super().__init__(f"The body is sent as {quote_for_message(content_type)}; only plain application/json is read.")


class BadEnvelope(CoordinatorError):
    code = "CM-102"

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"The CloudEvent's {attribute} {reason}.")


class BadRequestId(CoordinatorError):
    code = "CM-103"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request id {reason}.")


class ForbiddenCharacter(CoordinatorError):
    code = NotStorable.code


class UnreasonableJson(CoordinatorError):
    code = DuplicateKey.code


class BodyTooLarge(CoordinatorError):
    code = "CM-106"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes // 1024} KiB, which is as much as is read.")


# --- what is asked for (CM-2xx) ---------------------------------------------------------------------------------------


class UnknownService(CoordinatorError):
    code = "CM-201"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"The catalog has no service {quote_for_message(name)}; known: {', '.join(known)}.")


class RenamedService(UnknownService):
    next_step = "Use the name of today."

    def __init__(self, name: str, today: str) -> None:
        CoordinatorError.__init__(self, f"{name} is called {today} now.")


class ServiceLeft(UnknownService):
    def __init__(self, name: str, left: date, reason: str) -> None:
        CoordinatorError.__init__(self, f"{name} has left the fleet ({left}): {reason}.")


class ServiceWithoutDatabase(UnknownService):
    def __init__(self, name: str, reason: str) -> None:
        CoordinatorError.__init__(self, f"{name} has no database to migrate: {reason}.", service=name)


class BadSelection(CoordinatorError):
    code = "CM-202"


class BadTarget(CoordinatorError):
    code = "CM-203"
    next_step = (
        'Use "head" or "heads" (all of several heads), or an object that gives one of them, BRANCH@head or a full'
        " revision id for services of this request."
    )


class PreflightFailed(CoordinatorError):
    """One obstacle anywhere means that no step starts; every reason is named."""

    code = "CM-204"

    def __init__(self, obstacles: Sequence[Problem], request_id: str) -> None:
        reasons = " ".join(f"{o.service or 'fleet'}: {o.detail}" for o in obstacles)
        super().__init__(f"{len(obstacles)} obstacle(s) were found before any database was touched. {reasons}"[:4000])
        self.request_id = request_id


class AuditIsKept(CoordinatorError):
    code = "CM-206"
    next_step = "Leave it out; what the audit holds is never taken back."

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} keeps the audit, and its database is not downgraded.", service=service)


# --- repeats, fields, verbs (CM-6xx) ----------------------------------------------------------------------------------


class IdempotencyConflict(CoordinatorError):
    code = "CM-601"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Request {request_id} was accepted before with a different body.", request_id=request_id)


class BadField(CoordinatorError):
    code = "CM-603"


class NoSuchRoute(BadField):
    status = 404
    next_step = "See the routes in docs/api.md."

    def __init__(self, method: str) -> None:
        super().__init__(f"No route of the coordinator answers this {quote_for_message(method)}.")


class NoSuchRun(CoordinatorError):
    code = "CM-604"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"No run {quote_for_message(request_id)} was ever accepted.", request_id=request_id)


class OnlyRefused(NoSuchRun):
    """Nothing was accepted under this id, and a refusal is on record that says why."""

    def __init__(
        self, request_id: str, when: str, code: str, why: str, next_step: str, dead_letter: str | None = None
    ) -> None:
        CoordinatorError.__init__(
            self,
            f"No run {quote_for_message(request_id)} was ever accepted: what asked for it was refused at {when} "
            f"with {code}: {why}",
            request_id=request_id,
        )
        self.next_step = f"{next_step} The refusal: coordinator audit list --request {request_id}".strip()
        if dead_letter is not None:
            self.next_step += f"; what came: coordinator dead-letters show {dead_letter}"


# --- the coordinator's own configuration (CM-7xx) ---------------------------------------------------------------------


class BadCatalog(CoordinatorError):
    code = "CM-701"
    next_step = "Correct the catalog (fleet.toml) and start the coordinator again."


# --- mistakes of our own code (CM-9xx) --------------------------------------------------------------------------------


class IllegalMove(CoordinatorError):
    """Something was asked to leave its state for one it cannot reach."""

    code = "CM-902"

    def __init__(self, what: str, old: str, new: str) -> None:
        super().__init__(f"{what} is {old} and cannot become {new}.")


class ServiceLied(CoordinatorError):
    code = "CM-801"

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} answered, but {reason}.", service=service)


class SucceededOnOtherDatabase(ServiceLied):
    """It says that it reached another place than the plan's target: true where that place is beyond the target."""
