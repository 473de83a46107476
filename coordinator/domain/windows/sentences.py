"""Answers about windows and freezes as plain English for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from coordinator.domain.windows.opening import Closed, Hindrance, WaveClosed
from coordinator.domain.windows.service_rules import SEARCH


def sentence(answer: Closed | WaveClosed) -> str:
    """Why nothing starts now and when it may; a few sentences."""
    return _of_step(answer) if isinstance(answer, Closed) else _of_wave(answer)


def instant_for_people(instant: datetime, zone: str) -> str:
    """As the clocks of the place show it, and in UTC: a time that clocks show twice is clear only so."""
    local, utc = instant.astimezone(ZoneInfo(zone)), instant.astimezone(UTC)
    if zone == "UTC":
        return f"{_written(utc)} UTC"
    shown = _written(utc) if utc.date() != local.date() else _written(utc)[11:]
    return f"{_written(local)} {zone} ({shown} UTC)"


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant.second or instant.microsecond else f"{instant:%Y-%m-%d %H:%M}"


def _of_step(answer: Closed) -> str:
    zone = answer.by.zone if answer.by else "UTC"
    said = [_hindrance(answer, instant_for_people(answer.edge, zone) if answer.edge else None)]
    if answer.opens_at is not None and answer.opens_at != answer.edge:
        said.append(f"It may start at {instant_for_people(answer.opens_at, zone)}.")
    if answer.deadline is not None and answer.hindrance is not Hindrance.DEADLINE:
        said.append(f"It cannot end by the deadline of the request, {instant_for_people(answer.deadline, zone)}.")
    if answer.opens_at is None and answer.deadline is None and answer.edge is not None:
        said.append(f"It cannot start within {SEARCH.days} days.")
    return " ".join(said)


def _hindrance(answer: Closed, edge: str | None) -> str:
    rule = f"The {answer.by.kind.value} '{answer.by.name}'" if answer.by else "The request"
    takes = f"the step is expected to take {_duration(answer.expected or timedelta())}"
    match answer.hindrance:
        case Hindrance.NOT_BEFORE:
            return f"{rule} is not to start before {edge}."
        case Hindrance.DEADLINE if not answer.expected:
            return f"The deadline of the request was {edge}."
        case Hindrance.DEADLINE:
            return f"{answer.service} cannot be done by the deadline of the request, {edge}: {takes}."
        case Hindrance.FREEZE:
            return f"{rule} holds {answer.service} until {edge}: {answer.by.reason if answer.by else ''}."
        case Hindrance.FREEZE_BEGINS:
            return f"{rule} begins at {edge}, and {takes}."
        case Hindrance.WINDOW_CLOSED if edge is None:
            return f"{rule} of {answer.service} is closed, and does not open within {SEARCH.days} days."
        case Hindrance.WINDOW_CLOSED:
            return f"{rule} of {answer.service} is closed until {edge}."
        case Hindrance.WINDOW_CLOSES:
            return f"{rule} of {answer.service} closes at {edge}, and {takes}."


def _of_wave(answer: WaveClosed) -> str:
    longest = max(answer.closed, key=_until)
    said = [_of_step(longest)]
    if others := [each.service for each in answer.closed if each is not longest]:
        said.append(f"Not open either: {', '.join(others)}.")
    if answer.opens_at is None and longest.opens_at is not None:
        said.append("There is no time at which the whole wave may start.")
    if answer.opens_at is not None and answer.opens_at != longest.opens_at:
        zone = longest.by.zone if longest.by else "UTC"
        said.append(f"The whole wave may start at {instant_for_people(answer.opens_at, zone)}.")
    return " ".join(said)


def _until(answer: Closed) -> datetime:
    return answer.opens_at or datetime.max.replace(tzinfo=UTC)


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if number]
    return " ".join(parts) or "less than a second"
