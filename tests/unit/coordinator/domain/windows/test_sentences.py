"""What people are told about windows and freezes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.opening import Closed, WaveClosed
from coordinator.domain.windows.request_times import RequestTimes, read_request_times
from coordinator.domain.windows.sentences import instant_for_people, sentence
from tests.unit.coordinator.domain.windows.rules import calendar, freeze, utc, window

MINUTE = timedelta(minutes=1)


def told(rules: Calendar, now: str, expected: timedelta | None = None, times: RequestTimes | None = None) -> str:
    answer = rules.opening("cds-client", utc(now), expected, times or RequestTimes())
    assert isinstance(answer, Closed)
    return sentence(answer)


@pytest.mark.parametrize(
    ("rules", "now", "expected", "says"),
    [
        (
            calendar(window()),
            "2026-12-01T12:00",
            None,
            "The window 'nights' of cds-client is closed until 2026-12-01 22:00 Europe/Zurich (21:00 UTC).",
        ),
        (
            calendar(window(), freeze(from_="2026-12-01T13:00", to="2026-12-02")),
            "2026-12-01T11:00",
            None,
            "The window 'nights' of cds-client is closed until 2026-12-01 22:00 Europe/Zurich (21:00 UTC). "
            "It may start at 2026-12-03 00:00 Europe/Zurich (2026-12-02 23:00 UTC).",
        ),
        (
            calendar(window(weekdays=["thu"], except_=[f"2026-{month}" for month in ("12-03",)])),
            "2026-12-01T12:00",
            400 * MINUTE,
            "The window 'nights' of cds-client is closed until 2026-12-10 22:00 Europe/Zurich (21:00 UTC). "
            "It cannot start within 400 days.",
        ),
        (
            calendar(window()),
            "2026-12-01T02:30",
            65 * MINUTE,
            "The window 'nights' of cds-client closes at 2026-12-01 04:00 Europe/Zurich (03:00 UTC), and the step is "
            "expected to take 1 h 5 min. It may start at 2026-12-01 22:00 Europe/Zurich (21:00 UTC).",
        ),
        (
            calendar(freeze(zone="UTC")),
            "2026-12-24T12:00",
            None,
            "The freeze 'year-end' holds cds-client until 2027-01-04 00:00 UTC: the books are closed.",
        ),
        (
            calendar(freeze(name=None)),
            "2026-12-19T22:59:30",
            40 * MINUTE,
            "The freeze '2026-12-20' begins at 2026-12-20 00:00 Europe/Zurich (2026-12-19 23:00 UTC), and the step is "
            "expected to take 40 min. It may start at 2027-01-04 00:00 Europe/Zurich (2027-01-03 23:00 UTC).",
        ),
    ],
)
def test_a_sentence_says_what_is_in_the_way_and_until_when(
    rules: Calendar, now: str, expected: timedelta | None, says: str
) -> None:
    assert told(rules, now, expected) == says


def test_a_window_that_never_opens_says_so() -> None:
    days = ["2026-12-03", *(f"2026-12-{day}" for day in (10, 17, 24, 31))]
    rules = calendar(window(weekdays=["thu"], from_="10:00", to="12:00", except_=days), freeze(to="2028-12-31"))
    assert told(rules, "2026-12-01T12:00").endswith("It cannot start within 400 days.")
    weekly = [(utc("2026-12-03T00:00") + week * timedelta(days=7)).date().isoformat() for week in range(60)]
    assert told(calendar(window(weekdays=["thu"], except_=weekly)), "2026-12-01T12:00") == (
        "The window 'nights' of cds-client is closed, and does not open within 400 days."
    )


def test_the_times_of_a_request_are_told_in_utc() -> None:
    times = read_request_times("2026-12-02T13:00:00+01:00", "2026-12-02T22:30:00+01:00")
    assert told(calendar(), "2026-12-01T12:00", None, times) == (
        "The request is not to start before 2026-12-02 12:00 UTC."
    )
    assert told(calendar(), "2026-12-02T21:30", None, times) == "The deadline of the request was 2026-12-02 21:30 UTC."
    assert told(calendar(), "2026-12-02T21:29", 90 * MINUTE, times) == (
        "cds-client cannot be done by the deadline of the request, 2026-12-02 21:30 UTC: the step is expected to take "
        "1 h 30 min."
    )
    assert told(calendar(window()), "2026-12-02T12:00", 40 * MINUTE, times) == (
        "The window 'nights' of cds-client is closed until 2026-12-02 22:00 Europe/Zurich (21:00 UTC). It cannot end "
        "by the deadline of the request, 2026-12-02 22:30 Europe/Zurich (21:30 UTC)."
    )


def test_a_wave_tells_of_the_service_that_waits_longest() -> None:
    rules = calendar(
        window(name="early", from_="20:00", to="22:00", services=["a"]),
        window(name="late", from_="23:00", to="02:00", services=["b"]),
        window(name="all-evening", from_="20:00", to="24:00", services=["c"]),
    )
    answer = rules.opening_of_wave({"a": None, "b": None}, utc("2026-12-01T12:00"))
    assert isinstance(answer, WaveClosed)
    assert sentence(answer) == (
        "The window 'late' of b is closed until 2026-12-01 23:00 Europe/Zurich (22:00 UTC). Not open either: a. "
        "There is no time at which the whole wave may start."
    )
    answer = rules.opening_of_wave({"b": None, "c": 90 * MINUTE}, utc("2026-12-01T22:10"))
    assert isinstance(answer, WaveClosed)
    assert answer.opens_at is None
    answer = rules.opening_of_wave({"b": None, "c": 30 * MINUTE}, utc("2026-12-01T22:40"))
    assert isinstance(answer, WaveClosed)
    assert sentence(answer) == (
        "The window 'all-evening' of c closes at 2026-12-02 00:00 Europe/Zurich (2026-12-01 23:00 UTC), and the step "
        "is expected to take 30 min. It may start at 2026-12-02 20:00 Europe/Zurich (19:00 UTC). "
        "The whole wave may start at 2026-12-02 23:00 Europe/Zurich (22:00 UTC)."
    )


def test_a_time_that_clocks_show_twice_is_told_apart_by_utc() -> None:
    first, second = (instant_for_people(utc(f"2026-10-25T0{hour}:30:15"), "Europe/Zurich") for hour in (0, 1))
    assert first == "2026-10-25 02:30:15 Europe/Zurich (00:30:15 UTC)"
    assert second == "2026-10-25 02:30:15 Europe/Zurich (01:30:15 UTC)"
