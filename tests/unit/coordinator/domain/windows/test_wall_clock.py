"""What the clocks show, and when: also on the two days of the year on which they are set."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from coordinator.domain.windows.wall_clock import first_instant, last_instant

ZURICH = ZoneInfo("Europe/Zurich")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "instant"), [("2026-01-15T22:00", "2026-01-15T21:00"), ("2026-07-15T22:00", "2026-07-15T20:00")]
)
def test_on_any_other_day_a_time_is_one_instant(shown: str, instant: str) -> None:
    wall = datetime.fromisoformat(shown)
    assert first_instant(wall, ZURICH) == last_instant(wall, ZURICH) == utc(instant)
    assert first_instant(wall, ZURICH).tzinfo is UTC


@pytest.mark.parametrize("shown", ["2026-03-29T02:00", "2026-03-29T02:17", "2026-03-29T02:59:59.5", "2026-03-29T03:00"])
def test_a_time_that_clocks_skip_is_the_first_instant_after_the_gap(shown: str) -> None:
    wall = datetime.fromisoformat(shown)
    assert first_instant(wall, ZURICH) == last_instant(wall, ZURICH) == utc("2026-03-29T01:00")


def test_a_time_that_clocks_show_twice_is_the_first_for_a_beginning_and_the_second_for_an_end() -> None:
    wall = datetime.fromisoformat("2026-10-25T02:30")
    assert first_instant(wall, ZURICH) == utc("2026-10-25T00:30")
    assert last_instant(wall, ZURICH) == utc("2026-10-25T01:30")


def test_an_end_at_the_time_to_which_clocks_are_set_back_is_over_when_they_show_it_first() -> None:
    """A window until two is over at two: what clocks show in the hour that comes twice is never earlier than that."""
    at_two, at_three = (datetime.fromisoformat(f"2026-10-25T0{hour}:00") for hour in (2, 3))
    assert first_instant(at_two, ZURICH) == last_instant(at_two, ZURICH) == utc("2026-10-25T00:00")
    assert first_instant(at_three, ZURICH) == last_instant(at_three, ZURICH) == utc("2026-10-25T02:00")


def test_a_saturday_ends_once_where_the_first_hour_of_the_sunday_comes_twice() -> None:
    havana, sunday = ZoneInfo("America/Havana"), datetime.fromisoformat("2026-11-01T00:00")
    assert first_instant(sunday, havana) == last_instant(sunday, havana) == utc("2026-11-01T04:00")


def test_a_saturday_ends_at_its_second_midnight_where_its_last_hour_comes_twice() -> None:
    sao_paulo, sunday = ZoneInfo("America/Sao_Paulo"), datetime.fromisoformat("2019-02-17T00:00")
    assert first_instant(sunday, sao_paulo) == last_instant(sunday, sao_paulo) == utc("2019-02-17T03:00")
    last_minute = datetime.fromisoformat("2019-02-16T23:59")
    assert first_instant(last_minute, sao_paulo) == utc("2019-02-17T01:59")
    assert last_instant(last_minute, sao_paulo) == utc("2019-02-17T02:59")


def test_half_an_hour_is_a_change_too() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    wall = datetime.fromisoformat("2026-04-05T01:45")
    assert first_instant(wall, lord_howe) == utc("2026-04-04T14:45")
    assert last_instant(wall, lord_howe) == utc("2026-04-04T15:15")


def test_a_day_that_a_place_has_skipped_is_the_midnight_after_it() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    wall = datetime.fromisoformat("2011-12-30T12:00")
    assert first_instant(wall, ZoneInfo("Pacific/Apia")) == utc("2011-12-30T10:00")
