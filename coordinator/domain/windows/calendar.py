"""When steps may start: the windows and freezes of a fleet, asked for an instant that the caller brings.

A step may start if it is expected to end before its window closes and before a freeze begins. A service without
windows may always start, except in freezes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.opening import Closed, Hindrance, Open, WaveClosed
from coordinator.domain.windows.request_times import ANY_TIME, RequestTimes
from coordinator.domain.windows.service_rules import SEARCH, ServiceRules, first_common
from coordinator.domain.windows.span import Rule
from coordinator.domain.windows.window import Window

# Also a step that takes no time, or nobody knows how long, has to start before its window closes.
_SHORTEST, _LONGEST = timedelta.resolution, timedelta(days=1000)


@dataclass(frozen=True)
class Calendar:
    """The windows and freezes of a fleet. Every `now` is aware; `expected` is None where nobody knows."""

    windows: Sequence[Window] = ()
    freezes: Sequence[Freeze] = ()

    def opening(
        self, service: str, now: datetime, expected: timedelta | None = None, times: RequestTimes = ANY_TIME
    ) -> Open | Closed:
        """Whether a step of this service may start now, and what is in its way if not."""
        opens_at = self.next_start({service: expected}, now, times)
        if opens_at == now:
            return Open()
        hindrance, edge, by = self._hindrance(service, now, _needed(expected), times)
        is_late = opens_at is None and times.deadline is not None
        if is_late:  # or would there be none without a deadline either?
            is_late = self.next_start({service: expected}, now, RequestTimes(times.not_before)) is not None
        return Closed(
            service=service,
            hindrance=hindrance,
            edge=edge,
            by=by,
            expected=expected,
            opens_at=opens_at,
            deadline=times.deadline if is_late else None,
        )

    def opening_of_wave(
        self, steps: Mapping[str, timedelta | None], now: datetime, times: RequestTimes = ANY_TIME
    ) -> Open | WaveClosed:
        """Whether a step of each of these services, with the time that it takes, may start now: all or none."""
        answers = [self.opening(service, now, expected, times) for service, expected in steps.items()]
        closed = [answer for answer in answers if isinstance(answer, Closed)]
        return WaveClosed(closed=closed, opens_at=self.next_start(steps, now, times)) if closed else Open()

    def next_start(
        self, steps: Mapping[str, timedelta | None], now: datetime, times: RequestTimes = ANY_TIME
    ) -> datetime | None:
        """The first instant from now on at which all of these steps may start together; UTC.

        None if there is none within SEARCH, counted from now or from `not_before`, or none that is early enough.
        """
        start, longest = _start(now, times), max(map(_needed, steps.values()), default=_SHORTEST)
        # Services with the same rules are looked up once, and a fleet has few kinds.
        alike: dict[ServiceRules, timedelta] = {}
        for service, expected in steps.items():
            rules = self._rules(service)
            alike[rules] = max(alike.get(rules, _SHORTEST), _needed(expected))
        first = first_common(start, [rules.starts(start, needed) for rules, needed in alike.items()])
        if first is None or first > start + SEARCH:
            return None
        return None if times.deadline is not None and first + longest > times.deadline else first

    def _hindrance(
        self, service: str, now: datetime, needed: timedelta, times: RequestTimes
    ) -> tuple[Hindrance, datetime | None, Rule | None]:
        start = _start(now, times)
        if times.deadline is not None and start + needed > times.deadline:
            return Hindrance.DEADLINE, times.deadline, None
        if start > now:
            return Hindrance.NOT_BEFORE, start, None
        return self._rules(service).hindrance(start, needed)

    def _rules(self, service: str) -> ServiceRules:
        windows = tuple(window for window in self.windows if window.concerns(service))
        return ServiceRules(windows, tuple(freeze for freeze in self.freezes if freeze.concerns(service)))


def _start(now: datetime, times: RequestTimes) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now has no offset")
    return max(now, times.not_before or now).astimezone(UTC)


def _needed(expected: timedelta | None) -> timedelta:
    if expected is not None and expected < timedelta():
        raise ValueError(f"a step takes no negative time: {expected}")
    return min(max(expected or _SHORTEST, _SHORTEST), _LONGEST)
