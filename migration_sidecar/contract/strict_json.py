"""Reads JSON the way a door must: only what every reader understands alike; whoever keeps the door says how much."""

from __future__ import annotations

import json
import math
import re
from typing import Any, ClassVar, NoReturn

MAXIMUM_DEPTH = 32
MAXIMUM_INTEGER_DIGITS = 18
PASSWORD = re.compile(r"(://[^\s/:@]*):[^\s/@]+@")
LONGEST_SHOWN = 80
# PostgreSQL text holds no NUL, UTF-8 no lone surrogate, and a terminal should obey nobody's control characters.
CONTROL_CHARACTERS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # all but tab and line feed; for use within [] of a pattern
FORBIDDEN = re.compile(f"[{CONTROL_CHARACTERS}\ud800-\udfff]")


class StrictJsonError(ValueError):
    """Base of what is refused; its text is the detail of a problem."""

    code: ClassVar[str]


class NotAnObject(StrictJsonError):
    """CM-101: the body is not one JSON object."""

    code = "CM-101"


class NotStorable(StrictJsonError):
    """CM-104: a string has characters that a database cannot store."""

    code = "CM-104"


class DuplicateKey(StrictJsonError):
    """CM-105: a key occurs twice, nesting is too deep, or a number is too long or not finite."""

    code = "CM-105"


def read_object(body: bytes) -> dict[str, Any]:
    """The one JSON object in the body; raises StrictJsonError (CM-101, CM-104 or CM-105)."""
    document = _parse(body)
    if not isinstance(document, dict):
        raise NotAnObject(f"The body is a JSON {type(document).__name__}, not an object.")
    _inspect(document)
    return document


def require_each_key_once(body: bytes) -> None:
    """Of a body that is JSON otherwise, and may hold any text; raises Ambiguous."""
    json.loads(body, object_pairs_hook=_each_key_once, parse_int=str)


def is_deep(document: Any) -> bool:
    """Whether it nests deeper than a door takes; walks without recursion."""
    inside = [document]
    for _ in range(MAXIMUM_DEPTH):
        containers = [each for each in inside if isinstance(each, dict | list)]
        inside = [each for outer in containers for each in (outer.values() if isinstance(outer, dict) else outer)]
    return any(isinstance(each, dict | list) for each in inside)


def quote_for_message(text: str, limit: int = LONGEST_SHOWN) -> str:
    """A stranger's text as it may stand in a sentence: ASCII, escaped, short, and without an address's password."""
    shown = mask_url_passwords(text)
    return ascii(shown if len(shown) <= limit else shown[:limit] + "...")


def mask_url_passwords(text: str) -> str:
    """Addresses lose the password between user and host; any other secret is not to be told from a text."""
    return PASSWORD.sub(r"\1:***@", text)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_each_key_once,
            parse_int=_short_integer,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise NotAnObject(f"The body is not UTF-8: byte {error.start} fits nowhere.") from None
    except RecursionError:
        raise DuplicateKey(f"The body is nested deeper than {MAXIMUM_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotAnObject(
            f"The body stops being JSON at {where}: {error.msg}." if body else "The body is empty."
        ) from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        keys: set[str] = set()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise DuplicateKey(f"The key {quote_for_message(twice)} is there more than once.")
    return document


def _short_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAXIMUM_INTEGER_DIGITS:
        raise DuplicateKey(f"An integer has {len(digits)} digits.")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise DuplicateKey(f"The number {quote_for_message(digits)} is not finite.")
    return number


def _no_constant(name: str) -> NoReturn:
    raise DuplicateKey(f"{name} is not JSON.")


def _inspect(document: Any) -> None:
    """Walks without recursion, so that the walk itself has no depth to run out of."""
    waiting: list[tuple[str, int, Any]] = [("$", 1, document)]
    while waiting:
        where, depth, value = waiting.pop()
        if isinstance(value, str):
            _require_plain(where, value)
            continue
        if not isinstance(value, dict | list):
            continue
        if depth > MAXIMUM_DEPTH:
            raise DuplicateKey(f"The body is nested deeper than {MAXIMUM_DEPTH} levels.")
        if isinstance(value, list):
            waiting.extend((f"{where}[]", depth + 1, item) for item in value)
            continue
        for key, item in value.items():
            _require_plain(f"a key of {where}", key)
            waiting.append((f"{where}.{key}"[:80], depth + 1, item))


def _require_plain(where: str, text: str) -> None:
    if forbidden := FORBIDDEN.search(text):
        character = f"U+{ord(forbidden.group()):04X}"
        raise NotStorable(
            f"The string at {quote_for_message(where)} holds {character}, which no database text may hold."
        )
