"""Reads a request's JSON strictly, and refuses it in the coordinator's own words."""

from __future__ import annotations

import json
from typing import Any

from coordinator.errors import BodyTooLarge, CoordinatorError, ForbiddenCharacter, NotJson, UnreasonableJson
from migration_sidecar.contract import strict_json

MAXIMUM_BYTES = 256 * 1024
_OURS: dict[type[strict_json.NotStrict], type[CoordinatorError]] = {
    strict_json.NoObject: NotJson,
    strict_json.Unstorable: ForbiddenCharacter,
    strict_json.Ambiguous: UnreasonableJson,
}


def read_object(body: bytes) -> dict[str, Any]:
    """The one JSON object in the body; raises CM-101, CM-104, CM-105 or CM-106."""
    if len(body) > MAXIMUM_BYTES:
        raise BodyTooLarge(MAXIMUM_BYTES)
    try:
        return strict_json.read_object(body)
    except strict_json.NotStrict as error:
        raise _OURS[type(error)](str(error)) from None


def object_in(value: Any) -> dict[str, Any]:
    """An object, the one that a text holds, or the first of several, read without any rule; empty where there is none.

    Only for telling what somebody meant who is refused.
    """
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value, parse_int=str)
        except (ValueError, RecursionError):
            return {}
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}
