"""One entry of [[windows]] in fleet.toml: at which hours of which days steps may be under way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from coordinator.domain.windows.entry_fields import (
    Beginning,
    Day,
    End,
    Entry,
    EntryName,
    EntryReason,
    Services,
    ZoneName,
)
from coordinator.domain.windows.span import Rule, RuleKind, Span
from coordinator.domain.windows.wall_clock import first_instant, last_instant

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS = get_args(Weekday)
WHOLE_DAY = timedelta(hours=24)


class Window(Entry):
    """A maintenance window. It opens on the days that it names, and may close on the day after."""

    name: EntryName
    weekdays: tuple[Weekday, ...] = Field(min_length=1, strict=False)
    opens: Beginning = Field(alias="from")
    closes: End = Field(alias="to")
    zone: ZoneName
    stays_closed_on: tuple[Day, ...] = Field(default=(), alias="except", strict=False)
    services: Services
    reason: EntryReason

    @model_validator(mode="after")
    def _validate_times(self) -> Self:
        if self.opens == self.closes:
            raise ValueError('from and to are the same; a whole day is from = "00:00", to = "24:00"')
        return self

    @property
    def rule(self) -> Rule:
        """How answers name it."""
        return Rule(kind=RuleKind.WINDOW, name=self.name, zone=self.zone, reason=self.reason)

    def concerns(self, service: str) -> bool:
        """Whether it is one of the windows of this service."""
        return self.services == "all" or service in self.services

    def spans(self, start: datetime, last: datetime) -> Iterator[Span]:
        """What ends after `start` and begins by `last`, in order."""
        rule, zone = self.rule, ZoneInfo(self.zone)
        # A day more than a window can last: a place may have skipped one.
        day = start.astimezone(zone).date() - timedelta(days=3)
        while (begins := self._opening(day, zone)) <= last:
            ends = self._closing(day, zone)
            # Both are the same where clocks skip the whole of it.
            if self._opens_on(day) and begins < ends > start:
                yield Span(begins, ends, rule, rule)
            day += timedelta(days=1)

    def _opens_on(self, day: date) -> bool:
        return WEEKDAYS[day.weekday()] in self.weekdays and day not in self.stays_closed_on

    def _opening(self, day: date, zone: ZoneInfo) -> datetime:
        return first_instant(datetime.combine(day, time()) + self.opens, zone)

    def _closing(self, day: date, zone: ZoneInfo) -> datetime:
        passes_midnight = self.closes <= self.opens
        return last_instant(datetime.combine(day, time()) + self.closes + passes_midnight * WHOLE_DAY, zone)
