"""What a server, a driver or Python said, as people may read it: names stay, values and secrets go."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_READ = 100_000
HIDDEN = "…"
RAISE = "exec_stmt_raise"  # the function in PostgreSQL's source that the fields of an error name for PL/pgSQL's RAISE
# Classes of SQLSTATE in which PostgreSQL quotes names only, in its own sentences. Class 22, for one, quotes values.
_QUOTING_NAMES = ("0A", "23", "25", "26", "28", "2B", "34", "3B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
_SYNTAX_ERROR = "42601"
_SECRET = re.compile(
    r"""( (?: pass(?:word|wd|phrase) | pwd | token | secret | credential ) \w{0,30} ["']? \s{0,5} [=:] \s{0,5}
        | key \w{0,30} ["']? \s{0,5} = \s{0,5} )
        (?: "[^"]*"? | '[^']*'? | \S+ )""",
    re.IGNORECASE | re.VERBOSE,
)
# A password may hold blanks: SQLAlchemy writes them as they are.
_URL = re.compile(r"[A-Za-z][\w+.-]{0,40}://(?:[^@\n]{0,500}@)?\S*")
_IN_DOUBLE_QUOTES = re.compile(r'"[^"]*"')
# The apostrophe of "can't" begins no quotation.
_IN_SINGLE_QUOTES = re.compile(r"(?!(?<=[A-Za-z])'(?:t|s|re|ve|ll|d|m)\b)'[^']*'")
_FROM_FIRST_TO_LAST_QUOTE = re.compile(r'"(?:.*"|.*\Z)', re.DOTALL)
_WORD_OR_SIGN = re.compile(r"[^\W\d]\w*|[^\w\s]")


@dataclass(frozen=True)
class ServerWords:
    """A message, with the fields beside it that tell names from values."""

    text: str
    sqlstate: str | None = None
    names: frozenset[str] = frozenset()  # schema, table, column, type and constraint that it is about
    raised: bool = False  # by RAISE in somebody's function, where any word may be a value


def readable(words: ServerWords, statement: str = "") -> str:
    """The first line, without what it quotes of somebody's data. `statement` is without literals.

    The whole message is read before it is cut, because a value may be long and may have lines and quotes of its own.
    """
    text = words.text if len(words.text) <= LONGEST_READ else f"{words.text[:LONGEST_READ]}'"
    text = _IN_SINGLE_QUOTES.sub(HIDDEN, text)
    if words.raised or not (words.sqlstate or "").startswith(_QUOTING_NAMES):
        text = _without_quoted(text, words.names)
    elif words.sqlstate == _SYNTAX_ERROR:
        text = _FROM_FIRST_TO_LAST_QUOTE.sub(lambda match: _of_statement(match[0], statement), text)
    text = _IN_DOUBLE_QUOTES.sub(lambda match: HIDDEN if "@" in match[0] else match[0], text)
    lines = hide_secrets(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""


def hide_secrets(text: str) -> str:
    """Without URLs, and without what stands behind `password=`, `token:` and the like."""
    return _URL.sub(HIDDEN, _SECRET.sub(rf"\1{HIDDEN}", text))


def _without_quoted(text: str, names: frozenset[str]) -> str:
    # PostgreSQL does not double the quotes in a value, so its end is not to be told from a quote in it.
    known = sorted(f'"{name}"' for name in names)
    for number, name in enumerate(known):
        text = text.replace(name, f"\0{number}\0")
    text = _FROM_FIRST_TO_LAST_QUOTE.sub(HIDDEN, text)
    return re.sub("\0(\\d+)\0", lambda match: known[int(match[1])], text)


def _of_statement(quoted: str, statement: str) -> str:
    """Where a syntax error is: shown if it is a word or sign of the statement, and no part of a literal."""
    return quoted if quoted[1:-1] in _WORD_OR_SIGN.findall(statement) else HIDDEN
