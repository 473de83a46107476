"""What both doors do with a request or with what should have been one: one path, so that the doors cannot differ."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coordinator.audit.rejections import Rejections
from coordinator.domain import audit_events
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.errors import CoordinatorError, OtherBody
from coordinator.ports import Clock
from coordinator.runs.acceptance import Acceptance
from migration_sidecar.contract.messages import AuditEvent

log = logging.getLogger(__name__)


class Door(StrEnum):
    CALL = "call"
    EVENT = "event"


@dataclass(frozen=True)
class Reception:
    acceptance: Acceptance
    rejections: Rejections
    clock: Clock
    counts: Counter[str] = field(default_factory=Counter)

    async def take(self, request: MigrationRequest, caller: str | None = None, *, door: Door = Door.CALL) -> Run:
        """The run of this request; another body under a known id is put on record before it is refused."""
        try:
            run = await self.acceptance.accept(request, caller)
        except OtherBody as error:
            actor = audit_events.Actor(request.requested_by, caller)
            event = audit_events.about_conflict(
                request.request_id, request.digest, self.clock(), error.problem(), actor
            )
            await self._refused("conflict", event, door)
            raise
        except CoordinatorError as error:
            raise error.about(request.request_id) from None
        self.counts["accepted"] += 1
        return run

    async def refuse(
        self,
        key: tuple[str, ...],
        error: CoordinatorError,
        request_id: str | None,
        caller: str | None = None,
        *,
        door: Door = Door.EVENT,
        **facts: Any,
    ) -> None:
        """Puts a refused message on record, once per message however often it is delivered."""
        event = audit_events.about_rejection(
            key,
            self.clock(),
            error.problem(),
            request_id=request_id,
            actor=audit_events.Actor(None, caller),
            door=door.value,
            **facts,
        )
        await self._refused("rejected", event, door)

    async def _refused(self, outcome: str, event: AuditEvent, door: Door) -> None:
        """A call is counted each time that somebody makes it, an event once however often it is delivered."""
        self.counts[outcome] += door is Door.CALL
        is_new = await self.rejections.record(event)
        self.counts[outcome] += is_new and door is Door.EVENT

    async def refuse_call(
        self, key: tuple[str, ...], error: CoordinatorError, caller: str | None = None, **facts: Any
    ) -> None:
        """The same for somebody who waits for the answer, and gets it also where nothing can be recorded."""
        if error.retryable or isinstance(error, OtherBody):
            return  # an outage is no refusal, and a conflict is on record already
        # Once a day and not once for ever: who tries the same again tomorrow means it.
        key = (*key, caller or "", self.clock().date().isoformat())
        try:
            await self.refuse(key, error, error.problem().request_id, caller, door=Door.CALL, **facts)
        except CoordinatorError as unrecorded:
            log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
