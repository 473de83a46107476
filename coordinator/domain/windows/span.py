"""Stretches of time in UTC that windows and freezes make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class RuleKind(StrEnum):
    """What may keep a step from starting."""

    WINDOW = "window"
    FREEZE = "freeze"


class Rule(BaseModel):
    """A window or a freeze, as an answer names it."""

    model_config = ConfigDict(frozen=True)

    kind: RuleKind
    name: str
    zone: str  # in which people think of it
    reason: str


class Span(NamedTuple):
    """From an instant up to, but without, another one; and which rules begin and end it."""

    begins: datetime
    ends: datetime
    opener: Rule
    closer: Rule


class Stretch(NamedTuple):
    """Time in which a step may be under way."""

    begins: datetime
    ends: datetime


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans that touch or overlap as one. They come sorted by their beginnings, and may be without end."""
    current: Span | None = None
    for span in spans:
        if current is None or span.begins > current.ends:
            if current is not None:
                yield current
            current = span
        elif span.ends > current.ends:
            current = current._replace(ends=span.ends, closer=span.closer)
    if current is not None:
        yield current


def without(stretch: Stretch, freezes: Iterable[Span]) -> Iterator[Stretch]:
    """What is left of a stretch; the freezes are sorted and do not overlap."""
    begins = stretch.begins
    for freeze in freezes:
        if freeze.begins >= stretch.ends:
            break
        if freeze.begins > begins:
            yield Stretch(begins, freeze.begins)
        begins = max(begins, freeze.ends)
    if begins < stretch.ends:
        yield Stretch(begins, stretch.ends)
