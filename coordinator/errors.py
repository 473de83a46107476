"""Everything the coordinator refuses or cannot do; each error builds its own sentence and one problem document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import ClassVar, Self

from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.strict_json import Ambiguous, Unstorable
from migration_sidecar.contract.strict_json import quoted as quoted


class CoordinatorError(Exception):
    """Root of the tree; class attributes say what a caller may do about it."""

    code: ClassVar[str] = "CM-901"
    title: ClassVar[str] = "The coordinator failed"
    next_step: ClassVar[str] = "Look for this time and request id in the coordinator's log, then repeat the request."
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, request_id: str | None = None, service: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.request_id, self.service = detail, request_id, service

    @property
    def answer_status(self) -> int:
        return self.status

    def about(self, request_id: str) -> Self:
        """The same error, naming the request it belongs to."""
        self.request_id = self.request_id or request_id
        return self

    def problem(self) -> Problem:
        return Problem(
            code=self.code,
            title=self.title,
            detail=self.detail,
            next_step=self.next_step,
            retryable=self.retryable,
            request_id=self.request_id,
            service=self.service,
        )


class InternalError(CoordinatorError):
    """The last resort: what went wrong is in the log, never in the answer."""

    def __init__(self) -> None:
        super().__init__("Something unexpected happened inside the coordinator; nothing more is said here on purpose.")


# --- the body (CM-1xx) ------------------------------------------------------------------------------------------------


class NotJson(CoordinatorError):
    code, title, status = "CM-101", "The body is not JSON", 400
    next_step = 'Send one JSON object as UTF-8 with content type application/json, such as {"services": "all"}.'


class WrongContentType(NotJson):
    status = 415

    def __init__(self, found: str) -> None:
        super().__init__(f"The body is sent as {quoted(found)}; only plain application/json is read.")


class BadEnvelope(CoordinatorError):
    code, title, status = "CM-102", "The event is not a CloudEvent 1.0 with JSON data", 400
    next_step = "Publish the request as JSON through Dapr, without rawPayload; Dapr makes the CloudEvent."

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"The CloudEvent's {attribute} {reason}.")


class BadRequestId(CoordinatorError):
    code, title, status = "CM-103", "The request id cannot be used", 400
    next_step = "Use 1 to 64 characters out of A-Z, a-z, 0-9, underscore and hyphen, or leave request_id out."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request id {reason}.")


class ForbiddenCharacter(CoordinatorError):
    code, title, next_step, status = Unstorable.code, Unstorable.title, Unstorable.next_step, 400


class UnreasonableJson(CoordinatorError):
    code, title, next_step, status = Ambiguous.code, Ambiguous.title, Ambiguous.next_step, 400


class BodyTooLarge(CoordinatorError):
    code, title, status = "CM-106", "The body is too large", 413
    next_step = "Send a smaller request; it needs only service names and a few options."

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes // 1024} KiB, which is as much as is read.")


# --- what is asked for (CM-2xx) ---------------------------------------------------------------------------------------


class UnknownService(CoordinatorError):
    code, title, status = "CM-201", "There is no such service to migrate", 422
    next_step = "Name services as the catalog does (coordinator fleet shows them), or ask for all."

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"The catalog has no service {quoted(name)}; known: {', '.join(known)}.")


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
    code, title, status = "CM-202", "The list of services cannot be used", 422
    next_step = 'Give "all", or name between 1 and 200 services, each one once.'


class BadTarget(CoordinatorError):
    code, title, status = "CM-203", "The target cannot be used", 422
    next_step = (
        'Use "head" or "heads" (all of several heads), or an object that gives one of them or a full revision id for'
        " services of this request."
    )


class PreflightFailed(CoordinatorError):
    """One obstacle anywhere means that no step starts; every reason is named."""

    code, title, status = "CM-204", "The run was not started, because something stands in its way", 422
    next_step = "Remove what is named, then send a new request; no database was touched."

    def __init__(self, obstacles: Sequence[Problem], request_id: str) -> None:
        reasons = " ".join(f"{o.service or 'fleet'}: {o.detail}" for o in obstacles)
        super().__init__(f"{len(obstacles)} obstacle(s) were found before any database was touched. {reasons}"[:4000])
        self.request_id = request_id


# --- repeats, fields, verbs (CM-6xx) ----------------------------------------------------------------------------------


class OtherBody(CoordinatorError):
    code, title, status = "CM-601", "This request id was used for another request", 409
    next_step = "Send the new request under a new request id; the first one stands."

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Request {request_id} was accepted before with a different body.", request_id=request_id)


class BadField(CoordinatorError):
    code, title, status = "CM-603", "A field or parameter cannot be used", 422
    next_step = "Correct or remove it; unknown names are refused so that a misspelt one is never ignored."


class NotBuiltYet(BadField):
    title = "This is not supported yet"
    next_step = "Leave the field at its default; this version would ignore it otherwise."

    def __init__(self, field: str, value: object) -> None:
        super().__init__(f"{field} = {quoted(str(value))} is understood but not supported yet.")


class NoSuchRoute(BadField):
    title, status = "There is nothing at this address", 404
    next_step = "See the routes in docs/api.md."

    def __init__(self, method: str) -> None:
        super().__init__(f"No route of the coordinator answers this {quoted(method)}.")


class WrongVerb(BadField):
    title, status = "This address does not answer to this verb", 405
    next_step = "See the routes in docs/api.md."

    def __init__(self, method: str) -> None:
        super().__init__(f"The address exists, but not for {quoted(method)}.")


class NoSuchRun(CoordinatorError):
    code, title, status = "CM-604", "There is no such run", 404
    next_step = (
        "List the runs (coordinator runs), and what was refused: coordinator audit list --type migration.rejected"
    )

    def __init__(self, request_id: str) -> None:
        super().__init__(f"No run {quoted(request_id)} was ever accepted.", request_id=request_id)


class OnlyRefused(NoSuchRun):
    """Nothing was accepted under this id, and a refusal is on record that says why."""

    def __init__(self, request_id: str, when: str, code: str, why: str, next_step: str) -> None:
        CoordinatorError.__init__(
            self,
            f"No run {quoted(request_id)} was ever accepted: what asked for it was refused at {when} with {code}: "
            f"{why}",
            request_id=request_id,
        )
        self._next_step = f"{next_step} The refusal: coordinator audit list --request {request_id}".strip()

    def problem(self) -> Problem:
        return super().problem().model_copy(update={"next_step": self._next_step})


# --- the coordinator's own configuration (CM-7xx) ---------------------------------------------------------------------


class BadCatalog(CoordinatorError):
    code, title = "CM-701", "The fleet catalog cannot be used"
    next_step = "Correct the catalog (fleet.toml) and start the coordinator again."


# --- mistakes of our own code (CM-9xx) --------------------------------------------------------------------------------


class IllegalMove(CoordinatorError):
    """Something was asked to leave its state for one it cannot reach."""

    code, title = "CM-902", "A state was left in a way that is not allowed"

    def __init__(self, what: str, old: str, new: str) -> None:
        super().__init__(f"{what} is {old} and cannot become {new}.")


class ServiceLied(CoordinatorError):
    code, title, status, retryable = "CM-801", "A service gave an answer that cannot be true", 502, True
    next_step = "Check that this Dapr app id belongs to the right service, and that it carries the migration sidecar."

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} answered, but {reason}.", service=service)


class SucceededElsewhere(ServiceLied):
    """It says that it reached another place than the plan's target: true where that place is beyond the target."""
