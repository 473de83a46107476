"""A command of an operator: the verb, who gives it, and why."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from coordinator.domain.audit_events import Actor
from coordinator.domain.permissions import Permission
from coordinator.errors import BadField, quote_for_message
from migration_sidecar.contract.request_id import REQUEST_ID


class Verb(StrEnum):
    """What can be asked of a run."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"

    @property
    def permission(self) -> Permission:
        """What an operator needs for it."""
        return Permission.APPROVE if self in (Verb.APPROVE, Verb.REJECT) else Permission.OPERATE


PlanDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class CommandBody(BaseModel):
    """What a command says, in the body of a call or in the data of an event. Only `reason` is required."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    verb: Verb
    reason: str = Field(min_length=1, max_length=2000)
    requested_by: str = Field(default="unknown", min_length=1, max_length=200)
    # The same id again is the same command; without one, the caller's signature tells a repeat.
    command_id: Annotated[str, StringConstraints(pattern=f"^{REQUEST_ID.pattern}$")] | None = None
    plan_digest: PlanDigest | None = None  # of approve: the plan that was looked at
    now: bool = False  # of pause: do not wait for the end of the step, stop it at the next whole revision

    @model_validator(mode="after")
    def _validate_fields(self) -> Self:
        if (self.plan_digest is None) is (self.verb is Verb.APPROVE):
            raise ValueError(
                "approve names the plan_digest that was looked at" if self.verb is Verb.APPROVE
                else f"{self.verb} has no plan_digest"
            )  # fmt: skip
        if self.now and self.verb is not Verb.PAUSE:
            raise ValueError(f"{self.verb} has no now")
        return self


def read_command(body: dict[str, Any], verb: str) -> CommandBody:
    """The command in a parsed body; raises BadField (CM-603) for the first thing that is wrong."""
    if "verb" in body:
        raise BadField('There is no field "verb" in the body of a command; the address names it.')
    if verb not in [each.value for each in Verb]:
        raise BadField(f"There is no verb {quote_for_message(verb)}; there are {', '.join(Verb)}.")
    fields = {name: value for name, value in body.items() if value is not None}
    if "reason" not in fields:
        raise BadField(f'"reason" is missing: who reads the record later wants to know why somebody did {verb}.')
    try:
        return CommandBody.model_validate({**fields, "verb": Verb(verb)})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "body"
        if first["type"] == "extra_forbidden":
            raise BadField(f"There is no field {quote_for_message(field)} in a command.") from None
        raise BadField(f"{quote_for_message(field)}: {first['msg'][:300]}.") from None


class Command(BaseModel):
    """A command with who gave it and when, as the run record keeps it."""

    model_config = ConfigDict(frozen=True)

    verb: Verb
    command_id: str
    reason: str
    requested_by: str  # as it was claimed
    caller: str | None = None  # the verified name
    actor_basis: str | None = None
    actor_kind: str | None = Field(default=None, exclude_if=lambda kind: kind is None)
    at: datetime
    plan_digest: str | None = None
    now: bool = False

    @property
    def actor(self) -> Actor:
        """Who gave it, as the audit names him."""
        return Actor(self.requested_by, self.caller, self.actor_basis, self.actor_kind)

    @property
    def by(self) -> str:
        """The name for sentences: the verified one where there is one."""
        return self.actor.name or "somebody"
