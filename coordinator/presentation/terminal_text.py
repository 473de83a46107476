"""Makes text from other programs safe to print: it cannot move the cursor and is not read as Rich markup."""

from __future__ import annotations

import unicodedata

from rich.text import Text

# Control, format (zero-width, right-to-left override), surrogate, line and paragraph separator.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(value: object) -> str:
    """The value as text; each character that could act on a terminal is replaced by its escape."""
    return "".join(_visible_character(character) for character in str(value))


def _visible_character(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTABLE:
        return character.encode("unicode_escape").decode("ascii")
    return character


def safe(value: object, style: str = "") -> Text:
    """The printable value for Rich. Rich parses markup in a str, but never in a Text."""
    return Text(visible(value), style=style)
