"""Checks that what crosses the border between a service and its worker processes is what `protocol` declares."""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from pydantic import ConfigDict, TypeAdapter


def check(message: object, declared: Any) -> None:
    """Raises pydantic's ValidationError for a missing, an unknown or a wrong part of the message."""
    text = json.dumps(message, ensure_ascii=False).encode(errors="replace")  # a lone surrogate is no JSON for pydantic
    _adapter(declared).validate_json(text, strict=True)


@cache
def _adapter(declared: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_for_pydantic(declared))


def _for_pydantic(declared: Any) -> Any:
    """The same type without unknown keys. Before Python 3.12 pydantic takes TypedDicts of typing_extensions only."""
    if is_typeddict(declared):
        parts = {
            name: (Required if name in declared.__required_keys__ else NotRequired)[_for_pydantic(part)]
            for name, part in get_type_hints(declared).items()
        }
        made: Any = typing_extensions.TypedDict(declared.__name__, parts)  # type: ignore[operator]
        made.__pydantic_config__ = ConfigDict(extra="forbid")
        return made
    origin, arguments = get_origin(declared), get_args(declared)
    if not arguments or origin is Literal:
        return declared
    converted = tuple(_for_pydantic(part) for part in arguments)
    return Union[converted] if origin in (Union, UnionType) else origin[converted]  # noqa: UP007
