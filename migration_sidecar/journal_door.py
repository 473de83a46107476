"""GET /migrations/journal: the journal as it is, for whoever compares it with the audit."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from migration_sidecar.engine import Engine
from migration_sidecar.journal_messages import HistoryPosition, JournalEntry, JournalPage
from migration_sidecar.messages import AuditEvent
from migration_sidecar.relayed_events import NOT_RELAYED, audit_event
from migration_sidecar.store import Records

if TYPE_CHECKING:
    from migration_sidecar.store import AnyConnection

log = logging.getLogger(__name__)

LAST_SEQ = 2**63 - 1
MOST_ENTRIES = 1000

router = APIRouter()


class JournalQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    after: int = Field(default=0, ge=0, le=LAST_SEQ)
    limit: int = Field(default=500, ge=1, le=MOST_ENTRIES)


@router.get("/migrations/journal", response_model_exclude_none=True)
async def journal(request: Request, query: Annotated[JournalQuery, Query()]) -> JournalPage:
    engine: Engine = request.app.state.engine
    every = await engine.place.all_records()
    # One snapshot: a version row and the journal row of its revision are seen together or not at all.
    async with (
        engine.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await every[0].journal_page(connection, query.after, query.limit + 1)
        positions = [await _position(connection, records) for records in every]
    page = rows[: query.limit]
    service, database = engine.settings.service, engine.place.database
    return JournalPage(
        service=service,
        database=database,
        entries=[_entry(row, service, database) for row in page],
        positions=positions,
        next_after=page[-1]["seq"] if len(rows) > len(page) else None,
    )


async def _position(connection: AnyConnection, records: Records) -> HistoryPosition:
    return HistoryPosition(history=records.history, revisions=await records.versions(connection))


def _event(row: Any, service: str, database: str) -> AuditEvent | None:
    try:
        return audit_event(row, service, database)
    except Exception:  # whatever is wrong with one row, the others are to be seen, and this one among them
        log.exception("journal_row_not_understood", extra={"service": service, "journal_seq": row["seq"]})
        return None


def _entry(row: Any, service: str, database: str) -> JournalEntry:
    found = json.loads(row["detail"])
    detail = found if isinstance(found, dict) else {}
    return JournalEntry(
        seq=row["seq"],
        kind=row["kind"],
        history=row["history"],
        operation_id=row["operation_id"],
        attempt=row["attempt"],
        revision=row["revision"],
        before=detail.get("before"),
        heads=detail.get("heads"),
        operation_state=row["operation_state"],
        relayed=row["relayed"],
        seconds_ago=row["seconds_ago"],
        is_sent=row["kind"] not in NOT_RELAYED,
        event=None if row["kind"] in NOT_RELAYED else _event(row, service, database),
    )
