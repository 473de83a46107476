"""Whether something may start now, as data: what is in the way, until when, and when it may start."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from coordinator.domain.windows.span import Rule


class Hindrance(StrEnum):
    """Why a step may not start now. `edge` is the instant that belongs to it."""

    NOT_BEFORE = "not_before"  # the request is not to start before `edge`
    DEADLINE = "deadline"  # it cannot end by `edge`, and no change of windows or freezes will let it
    FREEZE = "freeze"  # until `edge`
    FREEZE_BEGINS = "freeze_begins"  # at `edge`, which is before it would end
    WINDOW_CLOSED = "window_closed"  # until `edge`; None: it does not open within the time that is searched
    WINDOW_CLOSES = "window_closes"  # at `edge`, which is before it would end


class Open(BaseModel):
    """It may start now."""

    model_config = ConfigDict(frozen=True)


class Closed(BaseModel):
    """A step may not start now."""

    model_config = ConfigDict(frozen=True)

    service: str
    hindrance: Hindrance
    edge: datetime | None
    by: Rule | None  # the window or freeze; None where it is the request's own time
    expected: timedelta | None
    # The first instant at which it may start; None if there is none within SEARCH, or none early enough for `deadline`.
    opens_at: datetime | None
    deadline: datetime | None = None  # of the request, where it could start later, but not end in time


class WaveClosed(BaseModel):
    """The steps of a wave may not start together now."""

    model_config = ConfigDict(frozen=True)

    closed: list[Closed]  # those that may not start now, in the order of the wave
    opens_at: datetime | None  # the first instant at which all may start; None as in Closed
