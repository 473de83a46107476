"""GET /migrations/journal: the stored rows of the journal, to be compared with the audit."""

from __future__ import annotations

import logging
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, get_args

from fastapi import APIRouter, Query, Request

from migration_sidecar.contract.journal import HistoryPosition, JournalEntry, JournalPage, JournalQuery, Kind
from migration_sidecar.contract.messages import MAX_REVISIONS
from migration_sidecar.database.records import MigrationRecords
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.journal_events import NOT_RELAYED, audit_event, detail_of, revisions_in
from migration_sidecar.http_server.openapi import problems
from migration_sidecar.http_server.proven_caller import NOT_PROVEN, PROVEN_CALLER
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

warnings = RateLimitedWarnings(logging.getLogger(__name__))  # callers are not limited

UNREADABLE = "unreadable"
KINDS = frozenset(get_args(Kind)) - {UNREADABLE}
PAGE_CHARACTERS = 8 * 1024 * 1024  # of details; readers of a page accept four times as much

router = APIRouter(dependencies=[PROVEN_CALLER, EACH_PARAMETER_ONCE], responses=NOT_PROVEN)


@router.get("/migrations/journal", response_model_exclude_none=True, responses=problems(409, 422, 503))
async def journal(request: Request, query: Annotated[JournalQuery, Query()]) -> JournalPage:
    """One page of the journal, and the revisions that the database is at, from one snapshot."""
    engine: Engine = request.app.state.engine
    await engine.target_database.require_named()
    every = await engine.target_database.all_records()
    # One snapshot, so that it has both a version row and the journal row of its revision, or neither.
    async with (
        engine.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = await every[0].journal.page(connection, query.after, query.limit + 1)
        positions = [await _position(connection, records) for records in every]
    page = first_page(rows, query.limit)
    more = len(rows) > query.limit or len(page) < len(rows)
    service, database = engine.settings.service, engine.target_database.database
    return JournalPage(
        service=service,
        database=database,
        entries=entries_of(page, service, database),
        positions=positions,
        next_after=page[-1]["seq"] if more else None,
    )


async def _position(connection: AnyConnection, records: MigrationRecords) -> HistoryPosition:
    return HistoryPosition(history=records.history, revisions=(await records.versions(connection))[:MAX_REVISIONS])


def first_page(rows: list[Any], limit: int) -> list[Any]:
    """The first `limit` rows, or fewer if they are large. Rows with the same number stay together."""
    size = count = 0
    for row in rows[:limit]:
        size += len(row["detail"] or "")
        if count and size > PAGE_CHARACTERS:
            break
        count += 1
    while count < len(rows) and rows[count]["seq"] == rows[count - 1]["seq"]:
        count += 1
    return rows[:count]


def entries_of(rows: list[Any], service: str, database: str) -> list[JournalEntry]:
    """One entry per number. `seq` is not unique: of several rows with one number, ours cannot be identified."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["seq"])]
    return [_entry(group[0], service, database, alone=len(group) == 1) for group in groups]


def _entry(row: Any, service: str, database: str, *, alone: bool) -> JournalEntry:
    """An entry for any row. A row that cannot be read is marked as such, so that it and the others are still shown."""
    kind = row["kind"] if row["kind"] in KINDS else UNREADABLE
    shown = JournalEntry(
        seq=row["seq"],
        kind=kind,
        history=row["history"],
        operation_id=row["operation_id"] or "",
        attempt=row["attempt"] or 0,
        revision=row["revision"],
        operation_state=row["operation_state"],
        relayed=row["relayed"],
        seconds_ago=row["seconds_ago"],
        is_sent=not alone or kind not in NOT_RELAYED,
    )
    try:
        if not alone:
            raise ValueError("several rows have its number")
        detail = detail_of(row)
        details = {
            "before": revisions_in(detail, "before"),
            "heads": revisions_in(detail, "heads"),
            "heads_before": revisions_in(detail, "heads_before"),
            "event": audit_event(row, service, database) if shown.is_sent else None,
        }
    except Exception as error:
        warnings.warn("journal_row_not_understood", kind=service, journal_seq=row["seq"], reason=type(error).__name__)
        return shown.model_copy(update={"is_sent": True})
    return shown.model_copy(update=details)
