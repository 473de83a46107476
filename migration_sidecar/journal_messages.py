"""What a service shows of its journal to whoever compares it with the audit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from migration_sidecar.messages import AuditEvent, Message

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
]


class JournalEntry(Message):
    """One row. `seq` orders rows and proves nothing else: what was rolled back leaves a hole as well."""

    seq: int = Field(gt=0)
    kind: Kind
    history: str  # the version table it is about
    operation_id: str
    attempt: int
    revision: str | None = None
    before: list[str] | None = None  # versions that an applied, reverted or stamped revision replaced
    heads: list[str] | None = None  # all that the version table held after it
    operation_state: str | None = None  # how its operation stands now
    relayed: bool  # the audit has said that it has it
    seconds_ago: float
    is_sent: bool = True  # to the audit; what committed together with a row that says more is not
    event: AuditEvent | None = None  # as it is sent; None where the row cannot be read as one


class HistoryPosition(Message):
    """What a version table holds, read in the same snapshot as the rows."""

    history: str
    revisions: list[str]


class JournalPage(Message):
    """Answer of GET /migrations/journal, ordered by seq; pass `next_after` on as `after` to read further."""

    service: str
    database: str
    entries: list[JournalEntry]
    positions: list[HistoryPosition]
    next_after: int | None = None
