"""Publishes progress events as whole CloudEvents, so that their ids are ours and a repeat can be recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coordinator.adapters.daprd import AnswerTooLarge, HttpCaller
from coordinator.domain.audit_events import SOURCE
from coordinator.ports import ProgressEvent
from coordinator.unavailable import BrokerUnavailable, SidecarUnreachable
from migration_sidecar.contract.progress_events import ProgressEventType

CLOUD_EVENT = "application/cloudevents+json"


class DaprPublisher:
    """Implements EventPublisher."""

    def __init__(self, daprd: HttpCaller, pubsub: str, topic: str) -> None:
        self._daprd = daprd
        self._path, self._path_of_several = f"/v1.0/publish/{pubsub}/{topic}", f"/v1.0/publish/bulk/{pubsub}/{topic}"

    async def publish(
        self, announcement: ProgressEventType, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None:
        """Publishes one event; raises BrokerUnavailable."""
        event = _cloud_event(ProgressEvent(announcement, event_id, at, data))
        await self._send(self._path, event, {"content-type": CLOUD_EVENT})

    async def publish_all(self, events: Sequence[ProgressEvent]) -> None:
        """As EventPublisher.publish_all. daprd passes each event on by itself, and refuses all where one failed."""
        entries = [
            {"entryId": event.event_id, "contentType": CLOUD_EVENT, "event": _cloud_event(event)} for event in events
        ]
        await self._send(self._path_of_several, entries, {})

    async def _send(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        try:
            reply = await self._daprd.call("POST", path, body=body, headers=headers)
        except (SidecarUnreachable, TimeoutError) as error:
            raise BrokerUnavailable("the sidecar does not answer") from error
        except AnswerTooLarge as error:
            raise BrokerUnavailable(f"daprd answered {error}") from error
        if reply.status >= 300:
            raise BrokerUnavailable(f"daprd answered {reply.status}")


def _cloud_event(event: ProgressEvent) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event.event_id,
        "source": SOURCE,
        "type": event.announcement.value,
        "time": event.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": event.data,
    }
