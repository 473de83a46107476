"""A row of the journal, as it is read after an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migration_sidecar.protocol.journal_schema import PLAIN


@dataclass(frozen=True)
class JournalRow:
    """One row of the journal; `seconds_ago` is its age by the server's clock."""

    attempt: int
    revision: str | None
    kind: str
    at: datetime
    detail: dict[str, Any]
    version_table: str = PLAIN
    seconds_ago: float = 0.0
