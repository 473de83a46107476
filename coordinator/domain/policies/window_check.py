"""Holds a step back while a window of its service is closed, or a freeze holds."""

from __future__ import annotations

from datetime import datetime, timedelta

from coordinator.domain.catalog import Catalog
from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.policies.next_action import WindowCheck, always_open
from coordinator.domain.step import Step
from coordinator.domain.windows.opening import Open
from coordinator.domain.windows.sentences import sentence


def window_check(catalog: Catalog) -> WindowCheck:
    """The check by the windows and freezes of fleet.toml."""
    if not (catalog.windows or catalog.freezes):
        return always_open
    calendar = catalog.calendar
    expected = {
        service.name: timedelta(seconds=service.expected_seconds)
        for service in catalog.services
        if service.expected_seconds is not None
    }

    def closed(step: Step, now: datetime) -> Waiting | None:
        answer = calendar.opening(step.service, now, expected.get(step.service))
        if isinstance(answer, Open):
            return None
        return Waiting.of(WaitingKind.WINDOW, sentence(answer), now, answer.opens_at)

    return closed
