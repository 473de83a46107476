"""The windows and freezes of one service, and when a step of it may start."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.opening import Hindrance
from coordinator.domain.windows.span import Rule, Span, Stretch, joined, without
from coordinator.domain.windows.window import Window

SEARCH = timedelta(days=400)  # so that the end of a freeze of a whole year is seen
_LATEST = datetime(9998, 1, 1, tzinfo=UTC)  # of a stretch that has no end


@dataclass(frozen=True)
class ServiceRules:
    """Those of a fleet's rules that concern one service."""

    windows: tuple[Window, ...]
    freezes: tuple[Freeze, ...]

    def starts(self, start: datetime, needed: timedelta) -> Iterator[Stretch]:
        """From which instant to which, both included, a step that takes so long may start; in order."""
        for stretch in self._stretches(start):
            for free in without(stretch, self._freeze_spans()):
                first, last = max(free.begins, start), free.ends - needed
                if first <= last:
                    yield Stretch(first, last)

    def hindrance(self, start: datetime, needed: timedelta) -> tuple[Hindrance, datetime | None, Rule]:
        """What keeps a step from starting at an instant, the instant that belongs to it, and whose it is.

        Only for an instant that is not among `starts`.
        """
        frozen, ahead = self._freezes_at(start, start + needed)
        if frozen is not None:
            return Hindrance.FREEZE, frozen.ends, frozen.closer
        window = next(self._window_spans(start), None)
        if self.windows and (window is None or window.begins > start):
            opener = self.windows[0].rule if window is None else window.opener
            return Hindrance.WINDOW_CLOSED, window.begins if window else None, opener
        if ahead is not None and (window is None or ahead.begins < window.ends):
            return Hindrance.FREEZE_BEGINS, ahead.begins, ahead.opener
        if window is None:
            raise ValueError("a step may start there")
        return Hindrance.WINDOW_CLOSES, window.ends, window.closer

    def _stretches(self, start: datetime) -> Iterator[Stretch]:
        if not self.windows:
            yield Stretch(start, _LATEST)
        for span in self._window_spans(start):
            yield Stretch(span.begins, span.ends)

    def _window_spans(self, start: datetime) -> Iterator[Span]:
        return joined(heapq.merge(*(each.spans(start, start + SEARCH) for each in self.windows), key=_beginning))

    def _freeze_spans(self) -> list[Span]:
        return list(joined(sorted((each.span for each in self.freezes), key=_beginning)))

    def _freezes_at(self, start: datetime, end: datetime) -> tuple[Span | None, Span | None]:
        """The freeze that an instant is in, and the next one that begins before the end."""
        spans = self._freeze_spans()
        frozen = (each for each in spans if each.begins <= start < each.ends)
        ahead = (each for each in spans if start < each.begins < end)
        return next(frozen, None), next(ahead, None)


def _beginning(span: Span) -> datetime:
    return span.begins


def first_common(start: datetime, starts: Sequence[Iterator[Stretch]]) -> datetime | None:
    """The first instant from `start` on that all of them include; None if one of them ends before."""
    try:
        current = [next(each) for each in starts]
        while True:
            candidate = max((each.begins for each in current), default=start)
            late = [place for place, each in enumerate(current) if each.ends < candidate]
            if not late:
                return candidate
            for place in late:
                current[place] = next(starts[place])
    except StopIteration:
        return None
