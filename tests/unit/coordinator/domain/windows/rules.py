"""Windows and freezes as the tests write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.window import WEEKDAYS, Window

NIGHTS = {
    "name": "nights",
    "weekdays": list(WEEKDAYS),
    "from": "22:00",
    "to": "04:00",
    "zone": "Europe/Zurich",
    "services": "all",
    "reason": "few customers",
}
YEAR_END = {
    "name": "year-end",
    "from": "2026-12-20",
    "to": "2027-01-03",
    "zone": "Europe/Zurich",
    "services": "all",
    "reason": "the books are closed",
}


def window(**changes: Any) -> Window:
    return Window.model_validate(NIGHTS | _as_written(changes))


def freeze(**changes: Any) -> Freeze:
    return Freeze.model_validate(YEAR_END | _as_written(changes))


def calendar(*entries: Window | Freeze) -> Calendar:
    windows = [entry for entry in entries if isinstance(entry, Window)]
    return Calendar(windows, [entry for entry in entries if isinstance(entry, Freeze)])


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _as_written(changes: dict[str, Any]) -> dict[str, Any]:
    """`from` and `except` are words of Python."""
    return {name.rstrip("_"): value for name, value in changes.items()}
