"""A message from the topic of requests: the CloudEvent, the request in it, and what identifies a refused one."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from coordinator.domain.request import MigrationRequest, read_request, request_id_for_event
from coordinator.domain.request_parsing.publisher_mistakes import ABatch, misuse_of_data, misuse_of_event
from coordinator.domain.request_parsing.request_json import object_in, read_object
from coordinator.errors import BadEnvelope, BadRequestId, CoordinatorError
from migration_sidecar.contract.request_id import REQUEST_ID

MAXIMUM_ATTRIBUTE_LENGTH = 1024
# Attributes that daprd adds or changes when it sends an event to a dead-letter topic.
DAPR_ATTRIBUTES = {"topic", "pubsubname", "time", "traceid", "traceparent", "tracestate"}


class Identity(NamedTuple):
    """How a message is recognised: by a key that every delivery of it has, and by the id that its publisher knows."""

    key: tuple[str, ...]
    request_id: str | None


@dataclass(frozen=True)
class ReceivedEvent:
    """One message on the topic of requests, parsed once. It need not be a CloudEvent, nor even JSON."""

    body: bytes
    attributes: dict[str, Any]  # as far as they can be read
    unreadable: CoordinatorError | None = None  # why the body is not one strict JSON object

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises nothing: `request` raises the error for an event that cannot be accepted."""
        if body.lstrip()[:1] == b"[":
            return cls(body, object_in(body), ABatch("body"))
        try:
            return cls(body, read_object(body))
        except CoordinatorError as error:
            # Read without rules, only to find out whose message was refused.
            return cls(body, object_in(body), error)

    def request(self, request_id: str | None = None) -> MigrationRequest:
        """The request, or the same under another id; raises CM-1xx, CM-2xx or CM-6xx with what is wrong first."""
        data, default_id = self.data()
        data = data if request_id is None else {**data, "request_id": request_id}
        return read_request(data, default_request_id=default_id)

    def data(self) -> tuple[dict[str, Any], str]:
        """Its data, and an id that every delivery of it gives; raises CM-1xx for what is no good CloudEvent."""
        if self.unreadable:
            raise self.unreadable
        event = self.attributes
        if event.get("specversion") != "1.0":
            raise misuse_of_event(event) or BadEnvelope("specversion", "is not 1.0")
        event_id, source, _ = _attribute(event, "id"), _attribute(event, "source"), _attribute(event, "type")
        if misuse := misuse_of_data(event):
            raise misuse
        return event["data"], request_id_for_event(event_id, source)

    @property
    def identity(self) -> Identity:
        """Of any message at all, also one that is refused."""
        event = self.attributes
        known_as = next((name for name in _names(event) if REQUEST_ID.fullmatch(name)), None)
        event_id, source = next(_text(event.get("id")), ""), next(_text(event.get("source")), "")
        if event_id and source:
            return Identity(("event", source, event_id), known_as or request_id_for_event(event_id, source))
        return Identity(("body", _fingerprint(event, self.body)), known_as)


def _fingerprint(event: dict[str, Any], body: bytes) -> str:
    lasting = {name: value for name, value in event.items() if name not in DAPR_ATTRIBUTES}
    text = json.dumps(lasting, sort_keys=True).encode() if lasting else body
    return hashlib.sha256(text).hexdigest()


def _names(event: dict[str, Any]) -> Iterator[str]:
    """What its publisher may know it by, the most deliberate first; of a request that stands too deep as well."""
    data = object_in(event.get("data")) or object_in(_decoded(event.get("data_base64")))
    inner = object_in(data.get("data"))
    for place, name in ((data, "request_id"), (inner, "request_id"), (event, "request_id")):
        yield from _text(place.get(name))
    if "specversion" in data:
        yield from _text(data.get("id"))
    yield from _text(event.get("id"))


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _text(value: Any) -> Iterator[str]:
    if isinstance(value, str) or type(value) is int:
        yield str(value)


def _attribute(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    if isinstance(value, str) and 0 < len(value) <= MAXIMUM_ATTRIBUTE_LENGTH:
        return value
    if isinstance(value, str) and value:
        raise BadRequestId(f"cannot be taken from the event: its {name} is {len(value)} characters long")
    wrong = _attribute_error(value) if name in event else "is missing"
    if name == "id" and name in event:
        raise BadRequestId(f"cannot be taken from the event: its id {wrong}")
    raise BadEnvelope(name, wrong)


def _attribute_error(value: Any) -> str:
    if value is None:
        return "is null"
    if isinstance(value, str):
        return "is empty"
    kind = "a boolean" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "no text"
    return f"is {kind}, where a text in quotes belongs"
