"""What a report consists of, before anybody decides how it looks; both renderings take exactly this."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from coordinator.presentation.terminal_text import visible


class Tone(StrEnum):
    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Span:
    """A piece of a line; `code` is for what somebody may want to compare letter by letter."""

    text: str
    form: str = "text"  # text, code, badge, break
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]
BREAK: Line = (Span("", "break"),)


@dataclass(frozen=True)
class Paragraph:
    line: Line
    kind: str = "paragraph"


@dataclass(frozen=True)
class Points:
    lines: list[Line]
    kind: str = "points"


@dataclass(frozen=True)
class Notice:
    """One thing that must not be overlooked."""

    tone: Tone
    title: str
    lines: list[Line]
    kind: str = "notice"


@dataclass(frozen=True)
class Quote:
    """Words of somebody else, in their own lines."""

    lines: list[str]
    kind: str = "quote"


@dataclass(frozen=True)
class Facts:
    rows: list[tuple[str, Line]]
    kind: str = "facts"


@dataclass(frozen=True)
class Column:
    title: str
    share: float  # of the width, against the others
    right: bool = False


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[Column]
    rows: list[list[Line]]
    kind: str = "table"


@dataclass(frozen=True)
class Commands:
    lines: list[str]
    kind: str = "commands"


@dataclass(frozen=True)
class Bar:
    """From `start` to `end`, both as parts of the whole run."""

    label: str
    note: str
    start: float
    end: float
    tone: Tone


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Timeline:
    caption: str
    description: str  # the picture in words, for whoever cannot see it
    labelled: bool  # false where there are too many bars to name each
    bars: list[Bar]
    ticks: list[Tick]
    kind: str = "timeline"


@dataclass(frozen=True)
class Subheading:
    text: str
    line: Line = ()
    kind: str = "subheading"


Block = Paragraph | Points | Notice | Quote | Facts | Table | Commands | Timeline | Subheading


@dataclass(frozen=True)
class Section:
    heading: str
    blocks: list[Block]


@dataclass(frozen=True)
class Report:
    request_id: str
    dated: str  # of what happened, never of the printing: the same run gives the same bytes
    verdict: str
    tone: Tone
    summary: str
    sections: list[Section] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Plain data, with every character that could act on a reader's eyes written as its escape."""
        data: dict[str, Any] = _printable(asdict(self))
        return data


def text(value: object) -> Line:
    return (Span(str(value)),)


def code(value: object) -> Line:
    return (Span(str(value), "code"),) if value else ()


def badge(value: str, tone: Tone) -> Line:
    return (Span(value, "badge", tone),)


def sentence(*parts: str | Line) -> Line:
    return tuple(span for part in parts for span in (text(part) if isinstance(part, str) else part))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, (list, tuple)) else value
