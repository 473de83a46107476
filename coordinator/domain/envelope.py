"""The CloudEvent around an event's data: which attributes must be there, and where the request is."""

from __future__ import annotations

from typing import Any, NamedTuple

from coordinator.domain.request import MigrationRequest, read_request, request_id_for_event
from coordinator.domain.strict_json import read_object
from coordinator.errors import BadEnvelope, BadRequestId

MAXIMUM_ATTRIBUTE_LENGTH = 1024


class Envelope(NamedTuple):
    event_id: str
    source: str
    data: dict[str, Any]


def read_event(body: bytes) -> MigrationRequest:
    """The request in an event as Dapr delivers it; raises CM-1xx, CM-2xx or CM-6xx."""
    envelope = read_envelope(body)
    default = request_id_for_event(envelope.event_id, envelope.source)
    return read_request(envelope.data, default_request_id=default)


def read_envelope(body: bytes) -> Envelope:
    event = read_object(body)
    if event.get("specversion") != "1.0":
        raise BadEnvelope("specversion", "is not 1.0")
    event_id, source, _ = _attribute(event, "id"), _attribute(event, "source"), _attribute(event, "type")
    if "data_base64" in event:
        raise BadEnvelope("data_base64", "is there, but only JSON in data is read")
    if not isinstance(event.get("data"), dict):
        raise BadEnvelope("data", "is not a JSON object")
    return Envelope(event_id, source, event["data"])


def _attribute(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise (
            BadRequestId("cannot be taken from the event: its id is missing or empty")
            if (name == "id" and "id" in event)
            else BadEnvelope(name, "is missing or not a text")
        )
    if len(value) > MAXIMUM_ATTRIBUTE_LENGTH:
        raise BadRequestId(f"cannot be taken from the event: its {name} is {len(value)} characters long")
    return value
