"""What publishers get wrong most often, by name: each gets the sentence that helps, and is refused all the same."""

from __future__ import annotations

from typing import Any

from coordinator.domain.strict_json import object_in
from coordinator.envelope_errors import ABatch, BadEnvelope, EventInAnEvent, OtherContentType, RequestWithoutEnvelope
from coordinator.errors import quoted


def misuse_of_event(event: dict[str, Any]) -> BadEnvelope | None:
    """Of one that is no CloudEvent 1.0."""
    return RequestWithoutEnvelope() if "services" in event and "specversion" not in event else None


def misuse_of_data(event: dict[str, Any]) -> BadEnvelope | None:
    """None where data is an object that may be a request."""
    content_type, data = event.get("datacontenttype"), event.get("data")
    sent_as = f"datacontenttype is {quoted(str(content_type))}" if content_type else "there is no datacontenttype"
    if event.get("data_base64") is not None:
        return OtherContentType("data_base64", f"is there instead of data, because {sent_as}")
    if isinstance(data, dict):
        return _misuse_of_object(data)
    if isinstance(data, list) or "batch" in str(content_type):
        return ABatch("data")
    if isinstance(data, str):
        what = "holds the request as a text" if object_in(data) else "is a text"
        return OtherContentType("data", f"{what} and not as a JSON object: {sent_as}")
    return BadEnvelope("data", "is not a JSON object" if data is not None else "is missing or null")


def _misuse_of_object(data: dict[str, Any]) -> BadEnvelope | None:
    if "services" in data:
        return None
    if "specversion" in data:
        return EventInAnEvent()
    if "services" in object_in(data.get("data")):
        return BadEnvelope("data", "holds a field data with the request in it: the request stands one level too deep")
    return None
