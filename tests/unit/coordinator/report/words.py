"""A report's words without its look, to be searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coordinator.report.build import report_of
from coordinator.report.document import Section
from coordinator.report.inputs import RunFacts


def section(facts: RunFacts, heading: str) -> str:
    return words(next(one for one in report_of(facts).sections if one.heading == heading))


def words(part: Any) -> str:
    """Lines joined by ` | `, so that a test can tell what stands beside what."""
    return " | ".join(_lines(part))


def _lines(part: Any) -> Iterator[str]:
    if isinstance(part, Section):
        for block in part.blocks:
            yield from _lines(block)
    elif isinstance(part, str):
        yield part
    elif isinstance(part, tuple) and part and all(hasattr(one, "form") for one in part):
        yield "".join("\n" if one.form == "break" else one.text for one in part)
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from _lines(one)
    elif hasattr(part, "__dataclass_fields__"):
        for name, value in vars(part).items():
            if name not in ("kind", "tone"):
                yield from _lines(value)
