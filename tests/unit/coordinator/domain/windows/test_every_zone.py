"""Windows in every zone, on the days on which the clocks are set forward and back, against a walk minute by minute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.domain.windows import calendar, service_rules
from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.entry_fields import known_zones
from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.opening import Open
from coordinator.domain.windows.window import WEEKDAYS, Window
from tests.unit.coordinator.domain.windows.minute_walk import HOUR, MINUTE, MinuteWalk, changes, minutes_of, offset

ZONES = sorted(known_zones())
EXAMPLES, DIRECTIONS = 4, 2
ON_NO_CHANGE = datetime(2026, 6, 15, 3, tzinfo=UTC)
HOURS, MARGIN = 72, 36  # around a change
LAST_START = (HOURS - 24) * 60
OPEN, SHUT = b"\1", b"\0"

# Most changes are near midnight or at two or three, often at the hour: bounds there are what is hard.
times_of_day = st.one_of(
    st.integers(0, 24 * 60 - 1),
    st.integers(0, 4 * 60),
    st.sampled_from([0, 1, 30, 60, 90, 119, 120, 121, 150, 180, 23 * 60, 23 * 60 + 59]),
)


@dataclass(frozen=True)
class Hours:
    """A window as it is written, in minutes."""

    opens: int
    closes: int
    weekdays: tuple[int, ...]
    excepted: tuple[int, ...]  # days from the change

    def window(self, name: str, zone: str, around: date) -> Window:
        return Window.model_validate(
            {
                "name": name,
                "weekdays": [WEEKDAYS[day] for day in self.weekdays],
                "from": f"{self.opens // 60:02}:{self.opens % 60:02}",
                "to": f"{self.closes // 60:02}:{self.closes % 60:02}",
                "zone": zone,
                "except": [(around + timedelta(days=days)).isoformat() for days in self.excepted],
                "services": "all",
                "reason": "a test",
            }
        )

    def mark(self, minutes: bytearray, walk: MinuteWalk, around: date) -> None:
        """Marks the minutes of the walk in which it is open."""
        for days in range(-5, 6):
            day = around + timedelta(days=days)
            if day.weekday() in self.weekdays and days not in self.excepted:
                midnight = minutes_of(datetime.combine(day, time()))
                passes_midnight = 24 * 60 if self.closes <= self.opens else 0
                mark(minutes, walk.members(midnight + self.opens, midnight + self.closes + passes_midnight), OPEN)


def mark(minutes: bytearray, members: slice, as_what: bytes) -> None:
    minutes[members] = as_what * max(0, members.stop - members.start)


hours = (
    st.builds(
        Hours,
        times_of_day,
        st.one_of(times_of_day, st.just(24 * 60)),
        st.one_of(st.just(tuple(range(7))), st.lists(st.integers(0, 6), min_size=1, unique=True).map(tuple)),
        st.lists(st.integers(-2, 2), max_size=1).map(tuple),
    )
).filter(lambda each: each.opens != each.closes)


@pytest.fixture(scope="module", autouse=True)
def short_search() -> Iterator[None]:
    """The walk sees two days, so that nothing is gained by looking through 400 for a window that is long enough."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (calendar, service_rules):
            patch.setattr(module, "SEARCH", timedelta(days=6))
        yield


@lru_cache(maxsize=4)
def changes_of(name: str) -> tuple[list[datetime], list[datetime]]:
    """Those at which the clocks are set forward, and those at which they are set back."""
    zone = ZoneInfo(name)
    found = changes(zone)
    forward = [each for each in found if offset(each, zone) < offset(each + HOUR, zone)]
    return forward or [ON_NO_CHANGE], [each for each in found if each not in forward] or [ON_NO_CHANGE]


@pytest.mark.parametrize("name", ZONES)
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_step_starts_only_where_every_minute_of_it_is_in_a_window(name: str, data: st.DataObject) -> None:
    for direction in changes_of(name):
        change = data.draw(st.sampled_from(direction))
        walk = MinuteWalk(ZoneInfo(name), change - MARGIN * HOUR, HOURS)
        around = change.astimezone(walk.zone).date()
        both = data.draw(st.lists(hours, min_size=1, max_size=2))
        frozen = data.draw(st.lists(st.tuples(times_of_day, times_of_day.filter(bool)), max_size=1))
        minutes = bytearray(len(walk.shown))
        for each in both:
            each.mark(minutes, walk, around)
        freezes: list[Freeze] = []
        for begins, length in frozen:
            low = minutes_of(datetime.combine(around, time())) + begins
            # A freeze in a gap only is refused.
            if (members := walk.members(low, low + length)).start < members.stop:
                mark(minutes, members, SHUT)
                freezes.append(freeze(name, around, begins, length))
        rules = Calendar([each.window(f"w{place}", name, around) for place, each in enumerate(both)], freezes)
        check(rules, walk, bytes(minutes), data)


def freeze(zone: str, day: date, begins: int, minutes: int) -> Freeze:
    start = datetime.combine(day, time()) + begins * MINUTE
    entry = {"from": start, "to": start + minutes * MINUTE, "zone": zone, "services": "all", "reason": "a test"}
    return Freeze.model_validate(entry)


def check(rules: Calendar, walk: MinuteWalk, minutes: bytes, data: st.DataObject) -> None:
    """At the edges and anywhere, for steps of all lengths."""
    edges = [edge + beside for run in re.finditer(OPEN + b"+", minutes) for edge in run.span() for beside in (-1, 0)]
    places = [each for each in edges if 0 <= each < LAST_START]
    for number in data.draw(st.lists(st.sampled_from([0, 17, 1234, *places]), min_size=1, max_size=2)):
        length = data.draw(st.sampled_from([0, 1, 2, 20, 59, 60, 61, 90, 120, 240]))
        now, needed = walk.start + number * MINUTE, OPEN * max(length, 1)
        expected = length * MINUTE if length else None
        answer, found = rules.opening("any", now, expected), minutes.find(needed, number)
        assert isinstance(answer, Open) is (found == number)
        told = now if isinstance(answer, Open) else answer.opens_at
        if found >= 0:
            assert told == walk.start + found * MINUTE
        else:  # beyond its end the walk knows nothing
            assert told is None or told > walk.start + (len(minutes) - len(needed)) * MINUTE


def test_every_zone_and_both_changes_make_four_thousand_cases() -> None:
    assert len(ZONES) > 400
    assert len(ZONES) * EXAMPLES * DIRECTIONS >= 4_000
