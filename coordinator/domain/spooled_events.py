"""The document with audit events that belong to no run: those that wait, and ids of those handled lately."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.messages import AuditEvent

PENDING_LIMIT = 300
RECORDED_LIMIT = 500
# A refusal that was only counted comes again within minutes, as a dead letter; by then this many others may have come.
COUNTED_LIMIT = 4000


Mark = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,36}$")]


class SpooledEvents(BaseModel):
    """The document. Every list is bounded, and the oldest entries leave first."""

    model_config = ConfigDict(frozen=True)

    events: list[AuditEvent] = []
    dropped: int = 0
    recorded: list[Mark] = []
    counted: list[Mark] = []

    def knows(self, event_id: UUID) -> bool:
        """Whether this event was recorded or counted before."""
        return str(event_id) in self.recorded or mark(event_id) in self.counted

    def is_pending(self, event_id: UUID) -> bool:
        """Whether this event waits for the audit."""
        return any(event.event_id == event_id for event in self.events)

    def with_waiting(self, *events: AuditEvent) -> SpooledEvents:
        """With more events that wait; beyond 300 the oldest are dropped and counted in `dropped`."""
        waiting = [*self.events, *events]
        newest = waiting[-PENDING_LIMIT:]
        return self.model_copy(update={"events": newest, "dropped": self.dropped + len(waiting) - len(newest)})

    def as_delivered(self) -> SpooledEvents:
        """With all waiting events marked as recorded; called once the audit has them."""
        recorded = [*self.recorded, *(str(event.event_id) for event in self.events)]
        return self.model_copy(update={"events": [], "recorded": recorded[-RECORDED_LIMIT:]})

    def uncounted(self, codes: Mapping[UUID, str]) -> dict[UUID, str]:
        """Of these refusals the ones that no replica has recorded or counted yet."""
        counted, recorded = set(self.counted), {*self.recorded, *(str(event.event_id) for event in self.events)}
        return {one: code for one, code in codes.items() if mark(one) not in counted and str(one) not in recorded}

    def with_counted(self, event_ids: Collection[UUID]) -> SpooledEvents:
        """With more refusals that were only counted."""
        counted = [*self.counted, *(mark(event_id) for event_id in event_ids)]
        return self.model_copy(update={"counted": counted[-COUNTED_LIMIT:]})


def mark(event_id: UUID) -> str:
    """The first 12 hexadecimal digits of an id: enough to recognise it among some thousand."""
    return event_id.hex[:12]


def read_spool(value: Any) -> tuple[SpooledEvents, bool]:
    """What can be read of the document and will be taken by the audit, and whether that is all of it."""
    try:
        whole = SpooledEvents.model_validate(value)
    except ValidationError:
        return _salvaged(value if isinstance(value, dict) else {}), False
    storable = [event for event in whole.events if _is_storable(event)]
    return whole.model_copy(update={"events": storable}), len(storable) == len(whole.events)


def _salvaged(document: Mapping[str, Any]) -> SpooledEvents:
    events = [event for one in _list_at(document, "events") if (event := _event(one))]
    dropped = document.get("dropped")
    return SpooledEvents(
        events=events[-PENDING_LIMIT:],
        dropped=dropped if type(dropped) is int else 0,
        recorded=[one for one in _list_at(document, "recorded") if _is_mark(one)][-RECORDED_LIMIT:],
        counted=[one for one in _list_at(document, "counted") if _is_mark(one)][-COUNTED_LIMIT:],
    )


def _is_mark(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f-]{1,36}", value) is not None


def _event(value: Any) -> AuditEvent | None:
    try:
        event = AuditEvent.model_validate(value)
    except ValidationError:
        return None
    return event if _is_storable(event) else None


def _is_storable(event: AuditEvent) -> bool:
    """Whether the audit takes this event: it refuses a whole batch for one, which would block the others for ever."""
    try:
        return validation_error(event) is None
    except (TypeError, ValueError):
        return False


def _list_at(document: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []
