"""How [[windows]] and [[freezes]] of fleet.toml write times, days, zones, names and reasons."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, StringConstraints

from coordinator.errors import quote_for_message

# So that whatever is added to such a date is still in the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 9000
# What these mean depends on the machine; and `Factory` means that nobody has chosen a zone.
NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?", re.ASCII)


class Entry(BaseModel):
    """Base of both: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@cache
def known_zones() -> frozenset[str]:
    """The zones of this machine that mean the same on every machine."""
    return frozenset(available_timezones()) - NO_PLACES


def _read_zone(name: str) -> str:
    if not known_zones():
        raise ValueError("this machine has no data of time zones; install tzdata")
    if name not in known_zones():
        raise ValueError(f'{quote_for_message(name)} is no time zone, such as "Europe/Zurich"')
    return name


def _read_beginning(written: Any) -> timedelta:
    match = _TIME.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        raise ValueError('it must be a time of day, "00:00" to "23:59"')
    return timedelta(hours=int(match[1]), minutes=int(match[2]))


def _read_end(written: Any) -> timedelta:
    if written == "24:00":
        return timedelta(hours=24)
    try:
        return _read_beginning(written)
    except ValueError:
        raise ValueError('it must be a time of day, "00:00" to "24:00"') from None


def _read_day(written: Any) -> date:
    day = date.fromisoformat(written) if _is_written_as(_DAY, written) else written
    if type(day) is not date:
        raise ValueError('it must be a day, such as "2026-12-24"')
    return _require_year(day)


def _read_moment(written: Any) -> date:
    if type(written) is date or _is_written_as(_DAY, written):
        return _read_day(written)
    moment = datetime.fromisoformat(written) if _is_written_as(_MOMENT, written) else written
    if not isinstance(moment, datetime):
        raise ValueError('it must be a day or a time, such as "2026-12-24" or "2026-12-24T18:00"')
    return _require_year(moment)


def _is_written_as(form: re.Pattern[str], written: Any) -> bool:
    return isinstance(written, str) and form.fullmatch(written) is not None


def _require_year(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"its year must be one of {FIRST_YEAR} to {LAST_YEAR}")
    return day


def _read_services(written: Any) -> str | tuple[str, ...]:
    if written == "all":
        return "all"
    if isinstance(written, list) and written and all(isinstance(name, str) for name in written):
        return tuple(written)
    raise ValueError('it must be "all" or a list of names of services')


def _require_one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has a character that does not print")
    return text


EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ZoneName = Annotated[str, AfterValidator(_read_zone)]
# Times of day are counted from midnight as the clocks show it: 24:00 is midnight at the end of the day.
Beginning = Annotated[timedelta, PlainValidator(_read_beginning)]
End = Annotated[timedelta, PlainValidator(_read_end)]
Day = Annotated[date, PlainValidator(_read_day)]
Moment = Annotated[date, PlainValidator(_read_moment)]  # a whole day, or a datetime with or without an offset
Services = Annotated[Literal["all"] | tuple[str, ...], PlainValidator(_read_services)]
EntryReason = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_require_one_line)]
