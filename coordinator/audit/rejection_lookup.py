"""Finds the refusal of a request that never became a run, by the id that its sender knows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from coordinator.audit.event_spool import AuditSpool
from coordinator.errors import CoordinatorError, NoSuchRun, OnlyRefused
from coordinator.ports import AuditReader

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 3.0
MAX_LOOKUPS = 20


class _Reason(BaseModel):
    code: str
    detail: str = ""
    next_step: str = ""
    verb: str | None = None  # set where the refused call was about a run that exists, such as `approve`


class _Refusal(BaseModel):
    occurred_at: str
    detail: _Reason


class _Page(BaseModel):
    events: list[_Refusal]


@dataclass(frozen=True)
class RejectionLookup:
    """Searches the events that wait, then the audit. If neither can be read, the result is NoSuchRun."""

    spool: AuditSpool
    audit: AuditReader

    async def explained(self, request_id: str) -> NoSuchRun:
        """The error for an unknown run: OnlyRefused with the reason where a refusal is found, else NoSuchRun."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                refusal = await self._waiting(request_id) or await self._recorded(request_id)
        except (CoordinatorError, TimeoutError, ValidationError) as error:
            log.info("refusal_not_looked_up", extra={"request_id": request_id, "why": type(error).__name__})
            refusal = None
        if refusal is None:
            return NoSuchRun(request_id)
        reason = refusal.detail
        return OnlyRefused(request_id, refusal.occurred_at, reason.code, reason.detail, reason.next_step)

    async def _waiting(self, request_id: str) -> _Refusal | None:
        event = await self.spool.latest_refusal(request_id)
        return None if event is None else _Refusal.model_validate(event.model_dump(mode="json"))

    async def _recorded(self, request_id: str) -> _Refusal | None:
        query = f"request_id={request_id}&type=migration.rejected&order=newest&limit={MAX_LOOKUPS}"
        answer = await self.audit.open("/audit/events", query)
        page = _Page.model_validate_json(b"".join([chunk async for chunk in answer.chunks()]))
        return next((event for event in page.events if event.detail.verb is None), None)
