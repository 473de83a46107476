"""What the clocks of a place show, minute by minute: an oracle that never asks what a local time is in UTC."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from zoneinfo import ZoneInfo

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
EPOCH = datetime(1970, 1, 1)
BETWEEN_TWO_CHANGES = timedelta(days=20)  # no place sets its clocks there and back in fewer days: Ramadan in Morocco


def minutes_of(naive: datetime) -> int:
    return (naive - EPOCH) // MINUTE


def changes(zone: ZoneInfo, since: int = 1975, until: int = 2037) -> list[datetime]:
    """The hours in which the clocks are set in these years."""
    found: list[datetime] = []
    low, end = datetime(since, 1, 1, tzinfo=UTC), datetime(until, 1, 1, tzinfo=UTC)
    before = offset(low, zone)
    while low < end:
        high = low + BETWEEN_TWO_CHANGES
        after = offset(high, zone)
        if after != before:
            found.append(_hour_of_change(low, high, zone))
        low, before = high, after
    return found


def _hour_of_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    before = offset(low, zone)
    while high - low > HOUR:
        middle = low + (high - low) // 2 // HOUR * HOUR
        low, high = (middle, high) if offset(middle, zone) == before else (low, middle)
    return low


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


@dataclass(frozen=True)
class MinuteWalk:
    """A few days in a zone, from a whole hour on. Minutes are counted from `start`."""

    zone: ZoneInfo
    start: datetime
    hours: int

    @cached_property
    def shown(self) -> list[int]:
        """What the clocks show at each minute, in minutes since 1970."""
        return [minute for number in range(self.hours) for minute in self._hour(self.start + number * HOUR)]

    def _hour(self, begins: datetime) -> list[int]:
        """Where an hour begins and ends with the same offset, all its minutes have it."""
        first = self._shown_at(begins)
        if offset(begins, self.zone) == offset(begins + HOUR, self.zone):
            return list(range(first, first + 60))
        return [self._shown_at(begins + number * MINUTE) for number in range(60)]

    def _shown_at(self, instant: datetime) -> int:
        return minutes_of(instant.astimezone(self.zone).replace(tzinfo=None))

    @cached_property
    def _latest_so_far(self) -> list[int]:
        return list(accumulate(self.shown, max))

    @cached_property
    def _earliest_from_here(self) -> list[int]:
        return list(accumulate(reversed(self.shown), min))[::-1]

    def members(self, begins: int, ends: int) -> slice:
        """From the first minute that shows `begins` or later to the last that shows an earlier time than `ends`."""
        return slice(bisect_left(self._latest_so_far, begins), bisect_left(self._earliest_from_here, ends))
