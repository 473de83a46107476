"""Reads JSON the way a door must: small, once, and only what every reader understands alike."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from coordinator.errors import BodyTooLarge, ForbiddenCharacter, NotJson, UnreasonableJson, quoted

MAXIMUM_BYTES = 256 * 1024
MAXIMUM_DEPTH = 32
MAXIMUM_INTEGER_DIGITS = 18
# PostgreSQL text holds no NUL, UTF-8 no lone surrogate, and a terminal should obey nobody's control characters.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def read_object(body: bytes) -> dict[str, Any]:
    """The one JSON object in the body; raises CM-101, CM-104, CM-105 or CM-106."""
    if len(body) > MAXIMUM_BYTES:
        raise BodyTooLarge(MAXIMUM_BYTES)
    document = _parse(body)
    if not isinstance(document, dict):
        raise NotJson(f"The body is a JSON {type(document).__name__}, not an object.")
    _inspect(document)
    return document


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
        raise NotJson(f"The body is not UTF-8: byte {error.start} fits nowhere.") from None
    except RecursionError:
        raise UnreasonableJson(f"The body is nested deeper than {MAXIMUM_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"The body stops being JSON at {where}: {error.msg}." if body else "The body is empty.") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise UnreasonableJson(f"The key {quoted(twice)} is there more than once.")
    return found


def _short_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAXIMUM_INTEGER_DIGITS:
        raise UnreasonableJson(f"An integer has {len(digits)} digits.")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise UnreasonableJson(f"The number {quoted(digits)} is not finite.")
    return number


def _no_constant(name: str) -> NoReturn:
    raise UnreasonableJson(f"{name} is not JSON.")


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
            raise UnreasonableJson(f"The body is nested deeper than {MAXIMUM_DEPTH} levels.")
        if isinstance(value, list):
            waiting.extend((f"{where}[]", depth + 1, item) for item in value)
            continue
        for key, item in value.items():
            _require_plain(f"a key of {where}", key)
            waiting.append((f"{where}.{key}"[:80], depth + 1, item))


def _require_plain(where: str, text: str) -> None:
    if found := FORBIDDEN.search(text):
        raise ForbiddenCharacter(quoted(where), found.group())
