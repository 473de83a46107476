"""Which events of which run this process has delivered, until the run record says so."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from coordinator.domain.run import Run


@dataclass
class RunMarks:
    """The ids of delivered events of one run. Each lock lets one task at a time send: to the audit, to the topic."""

    recorded: set[UUID] = field(default_factory=set)
    announced: set[UUID] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    publishing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class DeliveryMarks:
    """Added to by the relay, written into the record by the run repository with the run's next update.

    They are in memory only. Where they are lost, events are delivered again; the receivers recognise them by their ids.
    """

    notify: Callable[[str], None] = lambda _: None  # wakes those who wait for the run
    _runs: defaultdict[str, RunMarks] = field(default_factory=lambda: defaultdict(RunMarks))

    def of(self, request_id: str) -> RunMarks:
        """The marks of one run; empty ones for a run of which nothing was delivered here."""
        return self._runs[request_id]

    def mark_recorded(self, request_id: str, event_ids: Iterable[UUID]) -> None:
        """The audit has these events; readers learn it at once."""
        self.of(request_id).recorded.update(event_ids)
        self.notify(request_id)

    def apply(self, run: Run) -> Run:
        """The run without the outbox entries that are delivered."""
        marks = self._runs.get(run.request_id)
        return run if marks is None else run.mark_delivered(marks.recorded, marks.announced)

    def forget(self, request_id: str) -> None:
        """Called once the record shows everything."""
        self._runs.pop(request_id, None)
