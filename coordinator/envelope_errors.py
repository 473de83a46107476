"""What is wrong with an event before its request is read; each names the mistake that its publisher made."""

from __future__ import annotations

from coordinator.errors import CoordinatorError


class BadEnvelope(CoordinatorError):
    code, title, status = "CM-102", "The event is not a CloudEvent 1.0 with JSON data", 400
    next_step = "Publish the request as JSON through Dapr, without rawPayload; Dapr makes the CloudEvent."

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"The CloudEvent's {attribute} {reason}.")


class OtherContentType(BadEnvelope):
    next_step = (
        "Publish it with content type application/json (with the Python SDK: data_content_type='application/json'); "
        "Dapr then makes the CloudEvent."
    )


class EventInAnEvent(BadEnvelope):
    next_step = (
        "Publish a CloudEvent of your own with content type application/cloudevents+json, or publish only its data."
    )

    def __init__(self) -> None:
        super().__init__("data", "is a CloudEvent again: a CloudEvent inside a CloudEvent")


class ABatch(BadEnvelope):
    next_step = "Publish each request by itself; Dapr's bulk publish does so with one call."

    def __init__(self, attribute: str) -> None:
        super().__init__(attribute, "is a list or a batch and not one JSON object")


class RequestWithoutEnvelope(BadEnvelope):
    next_step = "Publish the request as JSON through Dapr, without rawPayload; Dapr makes the CloudEvent."

    def __init__(self) -> None:
        super().__init__("specversion", "is missing: this is a request without a CloudEvent around it")
