"""What a service shows of its journal to whoever compares it with the audit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from migration_sidecar.contract.messages import MAX_REVISIONS, AuditEvent, Message
from migration_sidecar.contract.query_parameters import LAST_SEQ, QueryParameters, WholeNumber

MAX_HISTORIES = 10_000  # tenants may each have one
MAX_ENTRIES = 1000  # of one page


class JournalQuery(QueryParameters):
    """The parameters of GET /migrations/journal, and of the coordinator's GET /journals/{service}."""

    after: WholeNumber = Field(default=0, ge=0, le=LAST_SEQ)
    limit: WholeNumber = Field(default=500, ge=1, le=MAX_ENTRIES)


Kind = Literal[
    "attempt",
    "started",
    "nontx_started",
    "applied",
    "reverted",
    "stamped",
    "failed",
    "refused",
    "cancelled",
    "resolved",
    "unreadable",  # of a kind that is none of these: nobody but a person wrote it
]


class JournalEntry(Message):
    """One row. `seq` orders rows and proves nothing else: what was rolled back leaves a hole as well."""

    seq: int = Field(gt=0)
    kind: Kind
    history: str  # the version table it is about
    operation_id: str
    attempt: int
    revision: str | None = None
    # What an applied revision builds on; of a reverted one itself; what a stamped one replaces.
    before: list[str] | None = Field(default=None, max_length=MAX_REVISIONS)
    heads: list[str] | None = Field(default=None, max_length=MAX_REVISIONS)  # all that the version table held after it
    # All that it held before it; None in rows of earlier releases, and after a purge.
    heads_before: list[str] | None = Field(default=None, max_length=MAX_REVISIONS)
    operation_state: str | None = None  # how its operation stands now
    relayed: bool  # the audit has said that it has it
    seconds_ago: float
    is_sent: bool = True  # to the audit; what committed together with a row that says more is not
    event: AuditEvent | None = None  # as it is sent; None where the row cannot be read as one


class HistoryPosition(Message):
    """What a version table holds, read in the same snapshot as the rows."""

    history: str
    revisions: list[str] = Field(max_length=MAX_REVISIONS)


class JournalPage(Message):
    """Answer of GET /migrations/journal, ordered by seq; pass `next_after` on as `after` to read further."""

    service: str
    database: str
    entries: list[JournalEntry] = Field(max_length=MAX_ENTRIES)
    positions: list[HistoryPosition] = Field(max_length=MAX_HISTORIES)
    next_after: int | None = None
