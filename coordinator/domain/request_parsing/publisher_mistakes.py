"""Frequent mistakes of publishers: each is refused with the advice that helps."""

from __future__ import annotations

from typing import Any

from coordinator.domain.request_parsing.request_json import object_in
from coordinator.errors import BadEnvelope, quote_for_message


class OtherContentType(BadEnvelope):
    """The data is not a JSON object, because the event was published with another content type."""

    next_step = (
        "Publish it with content type application/json (with the Python SDK: data_content_type='application/json'); "
        "Dapr then makes the CloudEvent."
    )


class EventInAnEvent(BadEnvelope):
    """The publisher made a CloudEvent, and Dapr made another one around it."""

    next_step = (
        "Publish a CloudEvent of your own with content type application/cloudevents+json, or publish only its data."
    )

    def __init__(self) -> None:
        super().__init__("data", "is a CloudEvent again: a CloudEvent inside a CloudEvent")


class ABatch(BadEnvelope):
    """Several requests in one message."""

    next_step = "Publish each request by itself; Dapr's bulk publish does so with one call."

    def __init__(self, attribute: str) -> None:
        super().__init__(attribute, "is a list or a batch and not one JSON object")


class RequestWithoutEnvelope(BadEnvelope):
    """A request that was published with rawPayload, so that no CloudEvent is around it."""

    def __init__(self) -> None:
        super().__init__("specversion", "is missing: this is a request without a CloudEvent around it")


def misuse_of_event(event: dict[str, Any]) -> BadEnvelope | None:
    """The mistake in a message that is not a CloudEvent 1.0; None where it is no known one."""
    return RequestWithoutEnvelope() if "services" in event and "specversion" not in event else None


def misuse_of_data(event: dict[str, Any]) -> BadEnvelope | None:
    """The mistake in the data of a CloudEvent; None where the data is an object that may be a request."""
    content_type, data = event.get("datacontenttype"), event.get("data")
    sent_as = (
        f"datacontenttype is {quote_for_message(str(content_type))}" if content_type else "there is no datacontenttype"
    )
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
