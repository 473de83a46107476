"""Text from elsewhere, made safe to print: it may neither move the cursor nor be read as Rich markup."""

from __future__ import annotations

import unicodedata

from rich.text import Text

# Control, format (zero-width, right-to-left override), surrogate, line and paragraph separator.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(value: object) -> str:
    """Every character that a terminal would act upon, written as its escape."""
    return "".join(_visible_character(character) for character in str(value))


def _visible_character(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTABLE:
        return character.encode("unicode_escape").decode("ascii")
    return character


def safe(value: object, style: str = "") -> Text:
    """A Text is never parsed for markup, unlike a str handed to Rich."""
    return Text(visible(value), style=style)
