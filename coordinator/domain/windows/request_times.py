"""`not_before` and `deadline` of a request: RFC 3339, always with an offset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.domain.windows.entry_fields import FIRST_YEAR, LAST_YEAR
from coordinator.errors import BadField, quote_for_message

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)


@dataclass(frozen=True)
class RequestTimes:
    """Between which instants a request is to be carried out; UTC, None where it does not say."""

    not_before: datetime | None = None
    deadline: datetime | None = None


ANY_TIME = RequestTimes()


def read_request_times(not_before: str | None, deadline: str | None) -> RequestTimes:
    """The times in a request; raises BadField (CM-603) for the first thing that is wrong."""
    times = RequestTimes(_read("not_before", not_before), _read("deadline", deadline))
    if times.not_before is not None and times.deadline is not None and times.deadline <= times.not_before:
        raise BadField("The deadline is not after not_before.")
    return times


def _read(field: str, written: str | None) -> datetime | None:
    if written is None:
        return None
    try:
        instant = datetime.fromisoformat(written) if RFC_3339.fullmatch(written) else None
    except ValueError:  # the 30th of February
        instant = None
    if instant is None:
        example = "2026-12-01T22:00:00+01:00"
        raise BadField(f"{field} is {quote_for_message(written)}, and no time with an offset such as {example}.")
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise BadField(f"The year of {field} is not one of {FIRST_YEAR} to {LAST_YEAR}.")
    return instant.astimezone(UTC)
