"""A row of the journal, as it is read back to judge what an attempt did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migration_sidecar.protocol.journal_schema import PLAIN


@dataclass(frozen=True)
class JournalRow:
    """One line of the journal."""

    attempt: int
    revision: str | None
    kind: str
    at: datetime
    detail: dict[str, Any]
    version_table: str = PLAIN
    seconds_ago: float = 0.0
