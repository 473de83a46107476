"""The parts of a report, without layout. The HTML and the PDF are both rendered from this."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from coordinator.presentation.terminal_text import visible


class Tone(StrEnum):
    """How a message is coloured: neutral, good, a warning, or bad."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Span:
    """A piece of a line. The form `code` is for values that a reader may compare letter by letter."""

    text: str
    form: str = "text"  # text, code, badge, break
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]
BREAK: Line = (Span("", "break"),)


@dataclass(frozen=True)
class Paragraph:
    """One line of text."""

    line: Line
    kind: str = "paragraph"


@dataclass(frozen=True)
class Points:
    """A list with bullets."""

    lines: list[Line]
    kind: str = "points"


@dataclass(frozen=True)
class Callout:
    """A highlighted message that the reader must not overlook."""

    tone: Tone
    title: str
    lines: list[Line]
    kind: str = "notice"


@dataclass(frozen=True)
class Quote:
    """Quoted text with its own line breaks, such as the reason in a request."""

    lines: list[str]
    kind: str = "quote"


@dataclass(frozen=True)
class KeyValueList:
    """A list of keys and values."""

    rows: list[tuple[str, Line]]
    kind: str = "facts"


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    share: float  # of the table's width, relative to the other columns
    right: bool = False  # aligned to the right


@dataclass(frozen=True)
class Table:
    """A table with a caption; each row has one line for each column."""

    caption: str
    columns: list[Column]
    rows: list[list[Line]]
    kind: str = "table"


@dataclass(frozen=True)
class Commands:
    """Shell commands that the reader can copy."""

    lines: list[str]
    kind: str = "commands"


@dataclass(frozen=True)
class Bar:
    """One database in the timeline. `start` and `end` are fractions of the run's duration, 0 to 1."""

    label: str
    note: str
    start: float
    end: float
    tone: Tone


@dataclass(frozen=True)
class Tick:
    """A mark on the time axis; `at` is a fraction of the run's duration."""

    at: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """A picture of the run, with one bar for each database."""

    caption: str
    description: str  # the picture as text, for readers who cannot see it
    labelled: bool  # false if there are too many bars to label each
    bars: list[Bar]
    ticks: list[Tick]
    kind: str = "timeline"


@dataclass(frozen=True)
class Subheading:
    """A heading inside a section, with an optional line beside it, such as a badge."""

    text: str
    line: Line = ()
    kind: str = "subheading"


Block = Paragraph | Points | Callout | Quote | KeyValueList | Table | Commands | Timeline | Subheading


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it."""

    heading: str
    blocks: list[Block]


@dataclass(frozen=True)
class Report:
    """The whole document."""

    request_id: str
    dated: str  # ISO 8601; when the run happened, not when this was printed, so that the same run gives the same bytes
    verdict: str
    tone: Tone
    summary: str
    sections: list[Section] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """The report as dicts and lists for the templates. Invisible and control characters become their escapes."""
        data: dict[str, Any] = _printable(asdict(self))
        return data


def text(value: object) -> Line:
    """A line of plain text."""
    return (Span(str(value)),)


def code(value: object) -> Line:
    """A line in a fixed-width font; an empty line for an empty value."""
    return (Span(str(value), "code"),) if value else ()


def badge(value: str, tone: Tone) -> Line:
    """A line that is one coloured label."""
    return (Span(value, "badge", tone),)


def sentence(*parts: str | Line) -> Line:
    """Joins texts and lines into one line."""
    return tuple(span for part in parts for span in (text(part) if isinstance(part, str) else part))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, (list, tuple)) else value
