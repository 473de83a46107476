"""Decides who sent an HTTP answer: the coordinator, daprd, or another program on the same port."""

from __future__ import annotations

from typing import Any

import httpx

from coordinator.client.errors import AppNotReady, CannotReach, Refused

Document = dict[str, Any]


def parse_response(answer: httpx.Response) -> Document:
    """Returns the coordinator's JSON object; a JSON list becomes `{"items": [...]}`.

    Raises Refused for the coordinator's problem documents, and CannotReach for answers that are not the coordinator's.
    """
    document = _json_object(answer)
    if answer.is_success and document is not None:
        return document
    if document is not None and "code" in document and "title" in document:
        raise Refused(document, answer.status_code)
    raise _not_the_coordinator(answer.status_code, document or {})


def _json_object(answer: httpx.Response) -> Document | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    if isinstance(document, list):
        return {"items": document}
    return document if isinstance(document, dict) else None


def _not_the_coordinator(status: int, document: Document) -> CannotReach:
    message = str(document.get("message", ""))
    if status in (401, 403):
        return CannotReach(
            f"the sidecar refused the call ({status})",
            "call as the user who started the fleet, or set DAPR_API_TOKEN to the token that daprd was started with",
            retryable=False,
        )
    if "connection refused" in message or "not in a ready state" in message:
        return AppNotReady()
    if "no host found" in message or "couldn't find service" in message:
        return CannotReach(
            "the sidecar that answered knows no app migration-coordinator",
            "start the fleet with dapr run -f dapr.yaml and look at its log",
        )
    if "errorCode" in document:
        return CannotReach(f"the sidecar answered {document['errorCode']}: {message}", "try again in a few seconds")
    return CannotReach(
        f"what answered is not the coordinator (HTTP {status})", "check DAPR_HTTP_PORT and COORDINATOR_URL"
    )
