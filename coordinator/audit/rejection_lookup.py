"""Finds the refusal of a request that never became a run, by the id that its sender knows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.event_spool import AuditSpool
from coordinator.domain.dead_letters.letter import DeadLetter
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
    """Searches the events that wait, the audit, and the dead letters. What cannot be read is left out."""

    spool: AuditSpool
    audit: AuditReader
    letters: DeadLetters | None = None

    async def explained(self, request_id: str) -> NoSuchRun:
        """The error for an unknown run: OnlyRefused with the reason where a refusal is found, else NoSuchRun."""
        refusal, letter = await asyncio.gather(self._refusal(request_id), self._letter(request_id))
        if refusal is None and letter is not None:
            refusal = _Refusal.model_validate(
                {"occurred_at": letter.last_at.isoformat(), "detail": dict(letter.reason)}
            )
        if refusal is None:
            return NoSuchRun(request_id)
        reason, kept = refusal.detail, None if letter is None else str(letter.id)
        return OnlyRefused(request_id, refusal.occurred_at, reason.code, reason.detail, reason.next_step, kept)

    async def _refusal(self, request_id: str) -> _Refusal | None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await self._waiting(request_id) or await self._recorded(request_id)
        except (CoordinatorError, TimeoutError, ValidationError) as error:
            log.info("refusal_not_looked_up", extra={"request_id": request_id, "why": type(error).__name__})
            return None

    async def _letter(self, request_id: str) -> DeadLetter | None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return None if self.letters is None else await self.letters.latest(request_id)
        except (CoordinatorError, TimeoutError) as error:
            log.info("dead_letter_not_looked_up", extra={"request_id": request_id, "why": type(error).__name__})
            return None

    async def _waiting(self, request_id: str) -> _Refusal | None:
        event = await self.spool.latest_refusal(request_id)
        return None if event is None else _Refusal.model_validate(event.model_dump(mode="json"))

    async def _recorded(self, request_id: str) -> _Refusal | None:
        query = f"request_id={request_id}&type=migration.rejected&order=newest&limit={MAX_LOOKUPS}"
        answer = await self.audit.open("/audit/events", query)
        page = _Page.model_validate_json(b"".join([chunk async for chunk in answer.chunks()]))
        return next((event for event in page.events if event.detail.verb is None), None)
