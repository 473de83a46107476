"""Publishes a signed request through daprd, for whoever lets the broker carry it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from coordinator.client.client import daprd_url
from coordinator.client.errors import CannotReach
from coordinator.client.operator_key import APP_ID
from coordinator.client.state_folders import token_of_daprd
from signed_calls.events import signed_event
from signed_calls.sidecar_token import HEADER
from signed_calls.signer import Signer

TOPIC = "migrate.requested"
MEDIA_TYPE = "application/cloudevents+json"
TIMEOUT_SECONDS = 30


def event_of(data: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """A signed CloudEvent that asks for a migration; `data` is a request as POST /migrations takes it."""
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "coordinator publish",
        "type": TOPIC,
        "datacontenttype": "application/json",
        "data": data,
    }
    return signed_event(event, TOPIC, APP_ID, signer.sign)


def publish(event: dict[str, Any], pubsub: str) -> None:
    """Returns when the broker has the event. Raises CannotReach; then nobody knows whether the broker has it.

    A repeat is harmless: the request in it has an id.
    """
    token = token_of_daprd()
    headers = {"content-type": MEDIA_TYPE} | ({HEADER: token} if token else {})
    url = f"{daprd_url()}/v1.0/publish/{pubsub}/{TOPIC}"
    try:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.post(url, json=event, headers=headers)
    except httpx.TransportError as error:
        raise CannotReach(
            f"nothing took the event at {url} ({type(error).__name__})",
            "start the fleet (dapr run -f dapr.yaml), or set DAPR_HTTP_PORT to the coordinator's sidecar",
        ) from error
    if not answer.is_success:
        raise CannotReach(
            f"daprd answered {answer.status_code} instead of taking the event",
            "publish through the coordinator's own sidecar, with DAPR_API_TOKEN if it has one; see its log",
        )
