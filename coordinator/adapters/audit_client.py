"""Calls the audit service through daprd: sends batches of events and streams answers."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.adapters.daprd import APP_ID_HEADER, SILENCE_SECONDS, AnswerTooLarge, HttpCaller, StreamingReply
from coordinator.adapters.service_client import refusal_from, request
from coordinator.errors import ServiceLied
from coordinator.unavailable import AuditNotReady, AuditUnavailable, ServiceRefused, ServiceUnreachable
from migration_sidecar.contract.audit import AuditBatch, AuditReceipt
from migration_sidecar.contract.messages import AuditEvent

# The audit service's code for "my tables are not there yet".
NOT_MIGRATED = "CM-522"
KNOWN_TYPES = ("application/json", "application/jsonl")


class HttpAudit:
    """Implements AuditTrail and AuditReader."""

    def __init__(self, daprd: HttpCaller, service: str) -> None:
        self._daprd, self._service = daprd, service

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        """Sends one batch; raises AuditNotReady before the audit's first migration, else AuditUnavailable."""
        body = AuditBatch(events=list(events)).model_dump(mode="json")
        try:
            receipt = await request(self._daprd, self._service, "POST", "/audit/events", AuditReceipt, body=body)
        except ServiceRefused as error:
            kind = AuditNotReady if error.their_problem.code == NOT_MIGRATED else AuditUnavailable
            raise kind(self._service, error.detail) from error
        except (ServiceUnreachable, ServiceLied) as error:
            raise AuditUnavailable(self._service, error.detail) from error
        if not receipt.covers(len(events)):
            raise AuditUnavailable(self._service, "its receipt does not cover every event that was sent.")
        return receipt

    async def open(self, path: str, query: str) -> StreamingReply:
        """Opens one of the audit's own routes; raises ServiceUnreachable, ServiceRefused or ServiceLied."""
        try:
            answer = await self._daprd.open(path, query, headers={APP_ID_HEADER: self._service})
            if answer.status >= 300:
                raise refusal_from(self._service, await answer.whole())
        except TimeoutError:
            raise ServiceUnreachable(self._service, f"no answer within {SILENCE_SECONDS:.0f} s") from None
        except AnswerTooLarge as error:
            raise ServiceLied(self._service, str(error)) from None
        if answer.content_type not in KNOWN_TYPES or answer.is_encoded:
            answer.close()
            raise ServiceLied(self._service, "not with JSON")
        return answer
