"""How an operation came in, told by its id, so that whoever takes it up after a restart still knows."""

from __future__ import annotations

import re

ENDPOINT = "endpoint"
_WAYS = {"start-up": "start-up", "by-hand": "by hand", "adopt": "by hand"}
_OURS = re.compile(r"(start-up|by-hand|adopt)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def way_in_of(operation_id: str) -> str:
    """No caller of the endpoint may take such an id: the audit would believe the operating system or the service."""
    ours = _OURS.fullmatch(operation_id)
    return _WAYS[ours[1]] if ours else ENDPOINT
