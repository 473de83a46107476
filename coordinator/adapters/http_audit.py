"""The audit service through the sidecar: batches in, pages out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.adapters.http_services import ask
from coordinator.adapters.sidecar import Caller
from coordinator.outages import AuditNotReady, AuditUnavailable, ServiceLied, ServiceRefused, ServiceUnreachable
from migration_sidecar.messages import AuditBatch, AuditEvent, AuditPage, AuditReceipt

# The audit service's own word for "my tables are not there yet".
NOT_MIGRATED = "CM-522"


class HttpAudit:
    """Implements AuditTrail."""

    def __init__(self, sidecar: Caller, service: str) -> None:
        self._sidecar, self._service = sidecar, service

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        body = AuditBatch(events=list(events)).model_dump(mode="json")
        try:
            receipt = await ask(self._sidecar, self._service, "POST", "/audit/events", AuditReceipt, body=body)
        except ServiceRefused as error:
            kind = AuditNotReady if error.their_problem.code == NOT_MIGRATED else AuditUnavailable
            raise kind(self._service, error.detail) from error
        except (ServiceUnreachable, ServiceLied) as error:
            raise AuditUnavailable(self._service, error.detail) from error
        if receipt.stored + receipt.repeated + len(receipt.conflicts) != len(events):
            raise AuditUnavailable(self._service, "its receipt does not cover every event that was sent.")
        return receipt

    async def page(self, parameters: Mapping[str, str]) -> AuditPage:
        return await ask(self._sidecar, self._service, "GET", "/audit/events", AuditPage, parameters=parameters)
