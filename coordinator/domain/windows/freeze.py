"""One entry of [[freezes]] in fleet.toml: a time in which no step may be under way."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from coordinator.domain.windows.entry_fields import Entry, EntryName, EntryReason, Moment, Services, ZoneName
from coordinator.domain.windows.span import Rule, RuleKind, Span
from coordinator.domain.windows.wall_clock import first_instant, last_instant


class Freeze(Entry):
    """A change freeze. A day is meant wholly: from its beginning, and until its end."""

    name: EntryName | None = None  # without one it is called by the day on which it begins
    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="to")
    zone: ZoneName
    services: Services
    reason: EntryReason

    @model_validator(mode="after")
    def _validate_order(self) -> Self:
        if self.span.begins >= self.span.ends:
            raise ValueError("to is not after from")
        return self

    @property
    def rule(self) -> Rule:
        """How answers name it."""
        name = self.name or self.begins.isoformat()[:10]
        return Rule(kind=RuleKind.FREEZE, name=name, zone=self.zone, reason=self.reason)

    @property
    def span(self) -> Span:
        """When it is, in UTC."""
        return Span(self._beginning(), self._end(), self.rule, self.rule)

    def concerns(self, service: str) -> bool:
        """Whether it holds this service."""
        return self.services == "all" or service in self.services

    def _beginning(self) -> datetime:
        if isinstance(self.begins, datetime) and self.begins.tzinfo is not None:
            return self.begins.astimezone(UTC)
        return first_instant(_midnight(self.begins), ZoneInfo(self.zone))

    def _end(self) -> datetime:
        if isinstance(self.ends, datetime) and self.ends.tzinfo is not None:
            return self.ends.astimezone(UTC)
        whole_day = timedelta(days=0 if isinstance(self.ends, datetime) else 1)
        return last_instant(_midnight(self.ends) + whole_day, ZoneInfo(self.zone))


def _midnight(moment: date) -> datetime:
    """The time itself where it is one, for a day its first."""
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time())
