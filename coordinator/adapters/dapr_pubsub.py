"""Publishes progress events as whole CloudEvents, so that their ids are ours and a repeat can be recognised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coordinator.adapters.daprd import AnswerTooLarge, HttpCaller
from coordinator.domain.audit_events import SOURCE
from coordinator.unavailable import BrokerUnavailable, SidecarUnreachable
from migration_sidecar.contract.progress_events import ProgressEventType


class DaprPublisher:
    """Implements EventPublisher."""

    def __init__(self, daprd: HttpCaller, pubsub: str, topic: str) -> None:
        self._daprd, self._path = daprd, f"/v1.0/publish/{pubsub}/{topic}"

    async def publish(
        self, announcement: ProgressEventType, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None:
        """Publishes one event; raises BrokerUnavailable."""
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": announcement.value,
            "time": at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
        }
        try:
            reply = await self._daprd.call(
                "POST", self._path, body=event, headers={"content-type": "application/cloudevents+json"}
            )
        except (SidecarUnreachable, TimeoutError) as error:
            raise BrokerUnavailable("the sidecar does not answer") from error
        except AnswerTooLarge as error:
            raise BrokerUnavailable(f"daprd answered {error}") from error
        if reply.status >= 300:
            raise BrokerUnavailable(f"daprd answered {reply.status}")
