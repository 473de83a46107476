r"""JSON in which every byte is ASCII, for databases whose encoding is not UTF-8.

There PostgreSQL refuses a letter that its encoding lacks, and in `jsonb` also its escape. So such a letter is stored
as the six characters of its escape (`\u30c6`), and made a letter again when it is read.
"""

from __future__ import annotations

import re

UTF_8 = "UTF8"  # PostgreSQL's name for it; such a database needs nothing of this

_TO_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|(\\\\)(?=u)|\\.|[^\x00-\x7f]")
_ESCAPED = re.compile(r"\\\\u([0-9a-f]{4})|\\.")


def to_ascii(document: str) -> str:
    """The JSON text with each other letter, and U+0000, as the characters of its escape."""
    return _TO_ESCAPE.sub(_escaped, document)


def from_ascii(document: str) -> str:
    """The JSON text as it was before `to_ascii`; other JSON stays as it is."""
    return _ESCAPED.sub(lambda match: rf"\u{match[1]}" if match[1] else match[0], document)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if match[1]:
        needs_it = not 0 < int(match[1], 16) < 0x80
        return rf"\\u{match[1].lower()}" if needs_it else found
    if match[2]:  # somebody's own text that looks like an escape
        return r"\\u005c"
    if found[0] == "\\":
        return found
    units = found.encode("utf-16-be", "surrogatepass")
    return "".join(rf"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
