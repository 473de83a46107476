"""A migration request: its fields, its checks, and the digest by which a repeat is recognised."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from coordinator.domain.windows.request_times import RequestTimes, read_request_times
from coordinator.errors import (
    BadField,
    BadRequestId,
    BadSelection,
    BadTarget,
    CoordinatorError,
    quote_for_message,
)
from migration_sidecar.contract.messages import Action
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.contract.target import RequestableTarget, is_end

AS_A_SERVICE_TAKES_IT = TypeAdapter(RequestableTarget)
# Words that mean a place in the history to Alembic, and not a revision.
RELATIVE_TARGETS = {"base", "head", "heads", "current"}
EVENT_ID_NAMESPACE = uuid.UUID("6f0e9b9c-52f5-5d0e-9a53-0d3c1d1b7a11")

NO_TARGET = "neither a full revision id nor head, heads, BRANCH@head or BRANCH@heads"
SELECTION_REQUIRED = '"services" is neither "all" nor a list of names.'

ServiceName = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


Percent = Annotated[str, StringConstraints(pattern=r"^(100|[1-9]?[0-9])%$")]


def left_out_while(unset: Any) -> Any:
    """A field that a record and a digest of an earlier release do not have."""
    return Field(default=unset, exclude_if=lambda value: value == unset)


class MigrationRequest(BaseModel):
    """The content of a migration request. Only `services` is required."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    request_id: str
    services: Literal["all"] | list[ServiceName]
    action: Literal["upgrade", "downgrade"] = "upgrade"
    target: Literal["head", "heads"] | dict[str, str] = "head"
    on_failure: Literal["stop", "continue", "compensate"] = "stop"
    # With `continue`: how many services may fail before nothing new starts, as a number or as a share of all of them.
    max_failures: Annotated[int, Field(ge=1, le=200)] | Percent | None = left_out_while(None)
    max_parallel: int = Field(default=1, ge=1, le=16)
    # Canary: nothing else starts before these, and what they depend on, have reached their targets.
    first: list[ServiceName] = left_out_while([])
    # Between two waves: seconds, or until somebody resumes the run.
    pause_between: Annotated[int, Field(ge=1, le=86_400)] | Literal["resume"] | None = left_out_while(None)
    approval: Literal["none", "required"] = "none"
    # Whose tables, in a database without a version row, are other people's. Left out while it is empty: a record and a
    # digest that an earlier release made have no such field.
    beside_other_tables: list[ServiceName] = Field(default=[], exclude_if=lambda names: not names)
    dry_run: bool = False
    not_before: str | None = None
    deadline: str | None = None
    requested_by: str = Field(default="unknown", min_length=1, max_length=200)
    reason: str = Field(default="", max_length=2000)

    @model_validator(mode="after")
    def _validate_fields(self) -> Self:
        _check_selection(self.services)
        _check_target(self.target, self.services)
        _check_beside(self.beside_other_tables, self.services)
        _check_first(self.first, self.services)
        _check_policy(self)
        _ = self.times
        return self

    @property
    def alembic_action(self) -> Action:
        """The action as the services understand it."""
        return Action(self.action)

    @property
    def times(self) -> RequestTimes:
        """Between which instants the steps may start."""
        return read_request_times(self.not_before, self.deadline)

    @property
    def policy(self) -> dict[str, Any]:
        """How the steps follow each other, and what a failed one means: it is part of what an approval binds."""
        fields = {"on_failure", "max_failures", "max_parallel", "first", "pause_between"}
        return self.model_dump(mode="json", include=fields)

    def target_of(self, service: str) -> str:
        """The target that is asked of one service: a revision id, or an end of its history or of a branch."""
        return self.target if isinstance(self.target, str) else self.target.get(service, "head")

    @property
    def digest(self) -> str:
        """SHA-256 over all fields with their defaults, without the request id; equal for a repeat."""
        body = self.model_dump(mode="json", exclude={"request_id"})
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


# Many clients write null for a field that they leave out.
OPTIONAL = MigrationRequest.model_fields.keys() - {"services"}


def read_request(body: dict[str, Any], *, default_request_id: str) -> MigrationRequest:
    """The request in a parsed body; raises one CM-1xx or CM-2xx error, for the first thing that is wrong."""
    body = {name: value for name, value in body.items() if value is not None or name not in OPTIONAL}
    request_id = body.get("request_id", default_request_id)
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise BadRequestId(f"{quote_for_message(str(request_id))} is not of the form [A-Za-z0-9_-]{{1,64}}")
    try:
        return MigrationRequest.model_validate({**body, "request_id": request_id})
    except ValidationError as error:
        raise _validation_error(error).about(request_id) from None
    except CoordinatorError as error:
        raise error.about(request_id) from None


def request_id_for_event(event_id: str, source: str) -> str:
    """The id of the CloudEvent where it can be a request id, else a UUID that is the same for every delivery."""
    if REQUEST_ID.fullmatch(event_id):
        return event_id
    return str(uuid.uuid5(EVENT_ID_NAMESPACE, json.dumps([source, event_id])))


def request_id_for_call(signature: str | None = None) -> str:
    """The id for a call that gives none: of a signed call always the same, so that the same call is no second run."""
    return str(uuid.uuid4() if signature is None else uuid.uuid5(EVENT_ID_NAMESPACE, signature))


def _check_selection(services: str | list[str]) -> None:
    if isinstance(services, str):
        return
    if not 1 <= len(services) <= 200:
        raise BadSelection(f"The list names {len(services)} services.")
    twice = {name for name in services if services.count(name) > 1}
    if twice:
        raise BadSelection(f"{quote_for_message(min(twice))} is named more than once.")


def _check_target(target: str | dict[str, str], services: str | list[str]) -> None:
    if isinstance(target, str):
        return
    if not target:
        raise BadTarget("The target is an empty object.")
    for service, revision in target.items():
        if services != "all" and service not in services:
            raise BadTarget(f"There is a target for {quote_for_message(service)}, but the request does not name it.")
        if not is_absolute(revision):
            raise BadTarget(f"{quote_for_message(revision)} is {NO_TARGET}.")


def _check_beside(names: list[str], services: str | list[str]) -> None:
    for name in names:
        if services != "all" and name not in services:
            raise BadField(f"beside_other_tables names {quote_for_message(name)}, and the request does not.")


def is_absolute(target: str) -> bool:
    """Whether a service takes it, and it means the same place however often it is asked for."""
    try:
        AS_A_SERVICE_TAKES_IT.validate_python(target)
    except ValidationError:
        return False
    return is_end(target) or target.lower() not in RELATIVE_TARGETS


def _check_first(names: list[str], services: str | list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadField(f"first names {quote_for_message(name)} more than once.")
        if services != "all" and name not in services:
            raise BadField(f"first names {quote_for_message(name)}, and the request does not.")


def _check_policy(request: MigrationRequest) -> None:
    if request.max_failures is not None and request.on_failure != "continue":
        raise BadField("max_failures is for on_failure = continue; otherwise nothing new starts after a failure.")
    if request.action == "upgrade":
        return
    if request.on_failure == "compensate":
        raise BadField("A downgrade is not compensated: what it takes away cannot be brought back by the way forward.")
    if isinstance(request.target, str) or request.services == "all" or set(request.services) != set(request.target):
        raise BadTarget("A downgrade names its services, and for each of them the revision to go back to.")
    if ends := [name for name, target in request.target.items() if is_end(target)]:
        raise BadTarget(f"The target of a downgrade is a revision, and {quote_for_message(ends[0])} has an end.")


def _validation_error(error: ValidationError) -> CoordinatorError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "body"
    sentence = f"{quote_for_message(field)}: {first['msg'][:300]}."
    if first["type"] == "extra_forbidden":
        return BadField(f"There is no field {quote_for_message(field)} in a request.")
    if field == "services":
        return BadSelection('"services" is missing.' if first["type"] == "missing" else SELECTION_REQUIRED)
    return BadTarget(sentence) if field == "target" else BadField(sentence)
