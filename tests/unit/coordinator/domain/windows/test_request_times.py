"""`not_before` and `deadline`: one instant each, or a refusal that says why."""

from __future__ import annotations

import pytest

from coordinator.domain.windows.request_times import ANY_TIME, RequestTimes, read_request_times
from coordinator.errors import BadField
from tests.unit.coordinator.domain.windows.rules import utc


def test_a_request_without_times_may_run_at_any_time() -> None:
    assert read_request_times(None, None) == ANY_TIME == RequestTimes()


@pytest.mark.parametrize(
    "written",
    ["2026-12-01T21:00:00Z", "2026-12-01T22:00:00+01:00", "2026-12-01T15:30:00.000-05:30", "2026-12-01T21:00:00-00:00"],
)
def test_every_offset_is_the_same_instant(written: str) -> None:
    assert read_request_times(written, None) == RequestTimes(not_before=utc("2026-12-01T21:00"))
    assert read_request_times(None, written) == RequestTimes(deadline=utc("2026-12-01T21:00"))


@pytest.mark.parametrize(
    "written",
    [
        "",
        "tomorrow",
        "2026-12-01",
        "2026-12-01T22:00:00",
        "2026-12-01T22:00Z",
        "2026-12-01 22:00:00Z",
        "2026-12-01t22:00:00z",
        "20261201T220000Z",
        "2026-12-01T22:00:00+0100",
        "2026-12-01T22:00:00+24:00",
        "2026-02-30T22:00:00Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T22:00:60Z",
        "2026-12-01T22:00:00.1234567Z",
        "2026-W49-2T22:00:00Z",
        "\u0662026-12-01T22:00:00Z",
        " 2026-12-01T22:00:00Z",
        "2026-12-01T22:00:00Z\n",
    ],
)
@pytest.mark.parametrize("field", ["not_before", "deadline"])
def test_what_is_no_instant_is_refused_by_the_name_of_its_field(field: str, written: str) -> None:
    with pytest.raises(BadField, match=f"^{field} is .*, and no time with an offset such as"):
        read_request_times(**{"not_before": None, "deadline": None, field: written})


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_year_that_nobody_means_is_refused(written: str) -> None:
    with pytest.raises(BadField, match=r"^The year of deadline is not one of 1970 to 9000"):
        read_request_times(None, written)


@pytest.mark.parametrize("deadline", ["2026-12-01T22:00:00+01:00", "2026-12-01T20:59:59Z"])
def test_a_deadline_that_is_not_after_not_before_is_refused(deadline: str) -> None:
    with pytest.raises(BadField, match="not after not_before"):
        read_request_times("2026-12-01T21:00:00Z", deadline)
