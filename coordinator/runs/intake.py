"""Accepts requests and records refused ones. The HTTP route and the pub/sub route share it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coordinator.audit.rejections import Rejections
from coordinator.domain import audit_events
from coordinator.domain.permissions import UNCHECKED, Permission, Permissions, Requester
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.errors import CoordinatorError, IdempotencyConflict
from coordinator.ports import Clock
from coordinator.runs.acceptance import Acceptance
from migration_sidecar.contract.messages import AuditEvent

log = logging.getLogger(__name__)


class EntryPoint(StrEnum):
    """The way a request came: by a call, or by an event."""

    CALL = "call"
    EVENT = "event"


@dataclass(frozen=True)
class RequestIntake:
    """Takes requests from both routes. `counts` are for the metrics."""

    acceptance: Acceptance
    rejections: Rejections
    clock: Clock
    permissions: Permissions = field(default_factory=Permissions)
    counts: Counter[str] = field(default_factory=Counter)

    async def accept(
        self,
        request: MigrationRequest,
        requester: Requester = UNCHECKED,
        *,
        entry_point: EntryPoint = EntryPoint.CALL,
    ) -> Run:
        """The run of this request, if the requester may ask for it (else CM-109).

        Another body under a known id is recorded as a conflict and then raised (CM-601).
        """
        try:
            self.permissions.require(requester, Permission.REQUEST, request.services)
            requester = self.permissions.with_kind(requester)
            run = await self.acceptance.accept(request, requester)
        except IdempotencyConflict as error:
            actor = requester.actor(request.requested_by)
            event = audit_events.conflict_event(
                request.request_id, request.digest, self.clock(), error.problem(), actor
            )
            await self._record_refusal("conflict", event, entry_point)
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
        requester: Requester | None = None,
        *,
        entry_point: EntryPoint = EntryPoint.EVENT,
        **facts: Any,
    ) -> None:
        """Records the refusal of a message, once per message however often it is delivered.

        Raises StateUnavailable and StateContended where it could be recorded nowhere.
        """
        event = audit_events.rejection_event(
            key,
            self.clock(),
            error.problem(),
            request_id=request_id,
            actor=audit_events.UNKNOWN_ACTOR if requester is None else self.permissions.with_kind(requester).actor(),
            door=entry_point.value,
            **facts,
        )
        await self._record_refusal("rejected", event, entry_point)

    async def _record_refusal(self, outcome: str, event: AuditEvent, entry_point: EntryPoint) -> None:
        """Counts a call each time it is made, and an event once however often it is delivered."""
        self.counts[outcome] += entry_point is EntryPoint.CALL
        is_new = await self.rejections.record(event)
        self.counts[outcome] += is_new and entry_point is EntryPoint.EVENT

    async def refuse_verb(
        self, key: tuple[str, ...], error: CoordinatorError, requester: Requester | None = None, **facts: Any
    ) -> None:
        """Records the refusal of a call. It raises nothing, because the caller gets his answer in any case.

        Outages and conflicts are left out: an outage is no refusal, and a conflict is recorded already.
        """
        if not error.is_refusal or isinstance(error, IdempotencyConflict):
            return
        # Once a day and not once for ever: the same call on another day is a new attempt.
        who = (requester.name or requester.subject or "") if requester is not None else ""
        key = (*key, who, self.clock().date().isoformat())
        try:
            await self.refuse(key, error, error.problem().request_id, requester, entry_point=EntryPoint.CALL, **facts)
        except CoordinatorError as unrecorded:
            log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
