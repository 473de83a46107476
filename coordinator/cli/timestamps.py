"""Moments as people write them; a day begins at midnight and without a time zone UTC is meant, as in every record."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.client.errors import BadInput


def moment(text: str) -> str:
    """As the audit reads it; raises BadInput."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            "That is no moment", f"{text!r} is neither a day nor a time", "write 2026-11-22 or 2026-11-22T15:00"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
