"""Reads a request's JSON strictly; errors are the coordinator's own."""

from __future__ import annotations

import json
from typing import Any

from coordinator.errors import BodyTooLarge, CoordinatorError, ForbiddenCharacter, NotJson, UnreasonableJson
from migration_sidecar.contract import strict_json

MAXIMUM_BYTES = 256 * 1024
_ERROR_TYPES: dict[type[strict_json.StrictJsonError], type[CoordinatorError]] = {
    strict_json.NotAnObject: NotJson,
    strict_json.NotStorable: ForbiddenCharacter,
    strict_json.DuplicateKey: UnreasonableJson,
}


def read_object(body: bytes) -> dict[str, Any]:
    """The one JSON object in the body; raises CM-101, CM-104, CM-105 or CM-106."""
    if len(body) > MAXIMUM_BYTES:
        raise BodyTooLarge(MAXIMUM_BYTES)
    try:
        return strict_json.read_object(body)
    except strict_json.StrictJsonError as error:
        raise _ERROR_TYPES[type(error)](str(error)) from None


def object_in(value: Any) -> dict[str, Any]:
    """An object, read without any rule: the value itself, the one in a text, or the first of a list; else empty.

    Used only to find out whose message was refused, and what its sender meant.
    """
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value, parse_int=str)
        except (ValueError, RecursionError):
            return {}
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}
