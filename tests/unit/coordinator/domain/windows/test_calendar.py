"""When a step may start, told by examples. Zurich is one hour ahead of UTC in winter, and two in summer."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from coordinator.domain.windows.opening import Closed, Hindrance, Open, WaveClosed
from coordinator.domain.windows.request_times import RequestTimes
from tests.unit.coordinator.domain.windows.rules import calendar, freeze, utc, window

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def closed(answer: Open | Closed) -> Closed:
    assert isinstance(answer, Closed)
    return answer


def test_a_service_without_windows_and_freezes_is_always_open() -> None:
    assert calendar().opening("any", utc("2026-12-01T12:00"), 10_000 * HOUR) == Open()
    rules = calendar(window(services=["other"]), freeze(services=["other"]))
    assert rules.opening("any", utc("2026-12-24T12:00")) == Open()


def test_a_window_that_passes_midnight_is_open_on_both_days_and_shut_between() -> None:
    rules = calendar(window())
    for now, is_open in [("T20:59", False), ("T21:00", True), ("T23:30", True), ("T02:59", True), ("T03:00", False)]:
        assert (rules.opening("any", utc("2026-12-01" + now)) == Open()) is is_open, now


def test_the_answer_names_the_window_that_opens_next_and_when() -> None:
    rules = calendar(window(name="mondays", weekdays=["mon"]), window(name="sundays", weekdays=["sun"]))
    answer = closed(rules.opening("any", utc("2026-12-01T12:00")))
    assert answer.hindrance is Hindrance.WINDOW_CLOSED
    assert answer.by is not None
    assert answer.by.name == "sundays"
    assert answer.edge == answer.opens_at == utc("2026-12-06T21:00")


def test_the_morning_after_belongs_to_the_day_on_which_the_window_began() -> None:
    rules = calendar(window(weekdays=["mon"]))
    assert rules.opening("any", utc("2026-12-01T01:00")) == Open()  # Tuesday, two in the morning
    assert isinstance(rules.opening("any", utc("2026-11-30T01:00")), Closed)


def test_a_window_does_not_open_on_an_excepted_day_but_is_open_in_the_morning_of_it() -> None:
    rules = calendar(window(except_=["2026-12-24"]))
    assert rules.opening("any", utc("2026-12-24T02:00")) == Open()
    assert closed(rules.opening("any", utc("2026-12-24T22:00"))).opens_at == utc("2026-12-25T21:00")


def test_a_step_may_end_just_when_its_window_closes_and_not_later() -> None:
    rules = calendar(window())
    assert rules.opening("any", utc("2026-12-01T02:00"), HOUR) == Open()
    answer = closed(rules.opening("any", utc("2026-12-01T02:00"), HOUR + SECOND))
    assert (answer.hindrance, answer.edge) == (Hindrance.WINDOW_CLOSES, utc("2026-12-01T03:00"))
    assert answer.opens_at == utc("2026-12-01T21:00")


def test_a_step_that_fits_into_no_window_never_starts() -> None:
    answer = closed(calendar(window()).opening("any", utc("2026-12-01T22:00"), 7 * HOUR + SECOND))
    assert (answer.hindrance, answer.opens_at) == (Hindrance.WINDOW_CLOSES, None)
    answer = closed(calendar(window()).opening("any", utc("2026-12-01T22:00"), 7 * HOUR))
    assert answer.opens_at == utc("2027-10-30T20:00")  # the one night with seven hours


def test_two_windows_that_touch_are_one_for_a_step_that_needs_both() -> None:
    rules = calendar(
        window(name="saturday", weekdays=["sat"], from_="00:00", to="24:00"),
        window(name="sunday", weekdays=["sun"], from_="00:00", to="24:00"),
    )
    assert rules.opening("any", utc("2026-12-05T12:00"), 35 * HOUR) == Open()
    answer = closed(rules.opening("any", utc("2026-12-05T12:00"), 36 * HOUR))
    assert answer.by is not None
    assert answer.by.name == "sunday"
    assert answer.opens_at == utc("2026-12-11T23:00")


def test_two_windows_at_the_same_time_are_no_trouble() -> None:
    rules = calendar(window(name="first"), window(name="second"), freeze(name="one"), freeze(name="two"))
    assert rules.opening("any", utc("2026-12-01T22:00")) == Open()
    assert closed(rules.opening("any", utc("2026-12-24T22:00"))).edge == utc("2027-01-03T23:00")


def test_a_window_in_another_zone_that_opens_earlier_is_found_first() -> None:
    rules = calendar(window(name="zurich"), window(name="tokyo", zone="Asia/Tokyo"))
    answer = closed(rules.opening("any", utc("2026-12-01T10:00")))
    assert answer.by is not None
    assert (answer.by.name, answer.opens_at) == ("tokyo", utc("2026-12-01T13:00"))


def test_a_window_over_the_end_of_summer_time_is_an_hour_longer_and_over_its_beginning_an_hour_shorter() -> None:
    rules = calendar(window())
    assert rules.opening("any", utc("2026-10-24T20:00"), 7 * HOUR) == Open()
    assert rules.opening("any", utc("2026-03-28T21:00"), 5 * HOUR) == Open()
    assert isinstance(rules.opening("any", utc("2026-03-28T21:00"), 5 * HOUR + SECOND), Closed)


def test_a_window_within_the_hour_that_is_skipped_does_not_open_on_that_day() -> None:
    rules = calendar(window(from_="02:10", to="02:50"))
    answer = closed(rules.opening("any", utc("2026-03-28T12:00")))
    assert answer.edge == answer.opens_at == utc("2026-03-30T00:10")


def test_a_window_within_another_one_does_not_shorten_it() -> None:
    rules = calendar(window(name="long"), window(name="short", from_="23:00", to="24:00"))
    assert rules.opening("any", utc("2026-12-01T21:00"), 6 * HOUR) == Open()


def test_a_freeze_of_days_holds_from_the_first_midnight_to_the_end_of_the_last_day() -> None:
    rules = calendar(freeze())
    assert rules.opening("any", utc("2026-12-19T22:59")) == Open()
    answer = closed(rules.opening("any", utc("2026-12-19T23:00")))
    assert (answer.hindrance, answer.opens_at) == (Hindrance.FREEZE, utc("2027-01-03T23:00"))
    assert rules.opening("any", utc("2027-01-03T23:00")) == Open()


def test_a_step_that_would_run_into_a_freeze_waits_until_after_it() -> None:
    rules = calendar(freeze())
    assert rules.opening("any", utc("2026-12-19T22:00"), HOUR) == Open()
    answer = closed(rules.opening("any", utc("2026-12-19T22:00"), HOUR + SECOND))
    assert (answer.hindrance, answer.edge) == (Hindrance.FREEZE_BEGINS, utc("2026-12-19T23:00"))
    assert answer.opens_at == utc("2027-01-03T23:00")


def test_of_a_freeze_and_the_end_of_a_window_the_earlier_one_is_in_the_way() -> None:
    rules = calendar(window(), freeze(from_="2026-12-20T02:00", to="2026-12-20T03:00"))
    assert closed(rules.opening("any", utc("2026-12-20T00:30"), 3 * HOUR)).hindrance is Hindrance.FREEZE_BEGINS
    rules = calendar(window(), freeze(from_="2026-12-20T05:00", to="2026-12-20T06:00"))
    assert closed(rules.opening("any", utc("2026-12-20T00:30"), 6 * HOUR)).hindrance is Hindrance.WINDOW_CLOSES


def test_after_a_freeze_a_step_waits_for_the_next_window_too() -> None:
    answer = closed(calendar(window(), freeze(to="2027-01-03T12:00")).opening("any", utc("2026-12-24T22:00")))
    assert (answer.edge, answer.opens_at) == (utc("2027-01-03T11:00"), utc("2027-01-03T21:00"))


@pytest.mark.parametrize("written", ["2026-12-20T18:00+01:00", "2026-12-20T17:00:00Z", "2026-12-20T18:00"])
def test_a_freeze_may_begin_at_an_instant_or_at_a_local_time(written: str) -> None:
    rules = calendar(freeze(from_=written))
    assert rules.opening("any", utc("2026-12-20T16:59:59")) == Open()
    assert isinstance(rules.opening("any", utc("2026-12-20T17:00")), Closed)


def test_nobody_looks_further_than_400_days() -> None:
    rules = calendar(freeze(to="2028-12-31"))
    assert closed(rules.opening("any", utc("2026-12-24T12:00"))).opens_at is None
    assert rules.next_start({"any": None}, utc("2027-12-01T12:00")) == utc("2028-12-31T23:00")
    answer = closed(calendar(window(), freeze(to="2028-12-31")).opening("any", utc("2026-12-24T12:00")))
    assert (answer.hindrance, answer.opens_at) == (Hindrance.FREEZE, None)


def test_a_request_is_held_until_its_not_before_and_then_until_a_window() -> None:
    times = RequestTimes(not_before=utc("2026-12-02T12:00"))
    answer = closed(calendar(window()).opening("any", utc("2026-12-01T22:00"), None, times))
    assert (answer.hindrance, answer.edge) == (Hindrance.NOT_BEFORE, times.not_before)
    assert answer.opens_at == utc("2026-12-02T21:00")
    assert calendar().opening("any", utc("2026-12-02T12:00"), None, times) == Open()


def test_a_step_must_end_by_the_deadline() -> None:
    times = RequestTimes(deadline=utc("2026-12-01T12:00"))
    assert calendar().opening("any", utc("2026-12-01T11:00"), HOUR, times) == Open()
    for now, expected in (("11:00", HOUR + SECOND), ("12:00", None), ("13:00", timedelta())):
        answer = closed(calendar().opening("any", utc(f"2026-12-01T{now}"), expected, times))
        assert (answer.hindrance, answer.edge, answer.opens_at) == (Hindrance.DEADLINE, times.deadline, None)


def test_a_window_that_opens_too_late_for_the_deadline_is_named_with_the_deadline() -> None:
    times = RequestTimes(deadline=utc("2026-12-01T21:30"))
    answer = closed(calendar(window()).opening("any", utc("2026-12-01T12:00"), HOUR, times))
    assert (answer.hindrance, answer.opens_at, answer.deadline) == (Hindrance.WINDOW_CLOSED, None, times.deadline)
    never = closed(calendar(window()).opening("any", utc("2026-12-01T12:00"), 8 * HOUR, times))
    assert (never.opens_at, never.deadline) == (None, None)


def test_a_wave_starts_when_all_its_steps_may_start_together() -> None:
    rules = calendar(
        window(name="early", from_="20:00", to="23:00", services=["a"]),
        window(name="late", from_="22:00", to="02:00", services=["b"]),
    )
    steps = {"a": HOUR / 2, "b": HOUR}
    answer = rules.opening_of_wave(steps, utc("2026-12-01T19:00"))
    assert isinstance(answer, WaveClosed)
    assert [each.service for each in answer.closed] == ["b"]
    assert answer.opens_at == utc("2026-12-01T21:00")
    assert rules.opening_of_wave(steps, utc("2026-12-01T21:00")) == Open()
    assert isinstance(rules.opening_of_wave(steps, utc("2026-12-01T21:31")), WaveClosed)
    assert rules.opening_of_wave({}, utc("2026-12-01T12:00")) == Open()


def test_a_wave_whose_windows_never_meet_never_starts() -> None:
    rules = calendar(
        window(name="early", from_="20:00", to="22:00", services=["a"]),
        window(name="late", from_="22:00", to="02:00", services=["b"]),
    )
    answer = rules.opening_of_wave({"a": None, "b": None}, utc("2026-12-01T19:00"))
    assert isinstance(answer, WaveClosed)
    assert answer.opens_at is None


def test_the_longest_step_of_a_wave_decides_among_services_with_the_same_rules() -> None:
    steps = {"a": 3 * HOUR, "b": HOUR}
    assert calendar(window()).next_start(steps, utc("2026-12-01T01:00")) == utc("2026-12-01T21:00")
    times = RequestTimes(deadline=utc("2026-12-01T23:00"))
    assert calendar(window()).next_start(steps, utc("2026-12-01T01:00"), times) is None


def test_a_time_without_an_offset_and_a_negative_length_are_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="offset"):
        calendar().opening("any", datetime(2026, 12, 1))
    with pytest.raises(ValueError, match="negative"):
        calendar().opening("any", utc("2026-12-01T12:00"), -SECOND)


def test_a_time_with_any_offset_is_the_same_instant() -> None:
    answer = closed(calendar(window()).opening("any", datetime.fromisoformat("2026-12-01T21:00+09:00")))
    assert answer.opens_at == utc("2026-12-01T21:00")
