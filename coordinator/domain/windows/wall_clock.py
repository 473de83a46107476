"""From what the clocks of a place show to the instant. All comparing is done in UTC.

Where clocks are set forward, they skip times; where they are set back, they show times twice. So a time that a person
writes down can have no instant or two of them, and each end of a window says which one it means.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clocks show this time or a later one; UTC."""
    return _instant(wall.replace(tzinfo=zone, fold=0))


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant from which on the clocks never show an earlier time again; UTC."""
    second = _instant(wall.replace(tzinfo=zone, fold=1))
    # Clocks that are set back to this very time show an earlier one only before they show it for the first time.
    is_set_back_to_it = _shown(second - datetime.resolution, zone) > wall
    return first_instant(wall, zone) if is_set_back_to_it else second


def _instant(local: datetime) -> datetime:
    instant = local.astimezone(UTC)
    return instant if _shown(instant, local.tzinfo) == local.replace(tzinfo=None) else _end_of_gap(local)


def _end_of_gap(local: datetime) -> datetime:
    """The first instant after the gap that holds this time. Clocks are set at whole seconds."""
    # With the offset after the gap an instant before it results, and the other way round.
    before, after = (local.replace(fold=fold, microsecond=0).astimezone(UTC) for fold in (1, 0))
    seconds = range(round((after - before).total_seconds()) + 1)
    wall = local.replace(tzinfo=None)
    passed = bisect_left(seconds, True, key=lambda each: _shown(before + timedelta(seconds=each), local.tzinfo) >= wall)
    return before + timedelta(seconds=passed)


def _shown(instant: datetime, zone: tzinfo | None) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)
