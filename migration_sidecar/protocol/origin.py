"""How an operation came in: through the endpoint, at the start of its service, or by the hand of a person."""

from __future__ import annotations

import re
from enum import Enum


class Origin(str, Enum):  # noqa: UP042 - StrEnum came with Python 3.11
    """Its words are stored: in each journal row, and in the audit, as `way_in`."""

    ENDPOINT = "endpoint"
    START_UP = "start-up"
    BY_HAND = "by hand"

    __str__ = str.__str__


_OF_PREFIX = {"start-up": Origin.START_UP, "by-hand": Origin.BY_HAND, "adopt": Origin.BY_HAND}
_OURS = re.compile(r"(start-up|by-hand|adopt)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def origin_of(operation_id: str) -> Origin:
    """Told by the id, so that whoever takes an operation up after a restart still knows.

    No caller of the endpoint may take an id of ours: the audit would believe the operating system or the service.
    """
    ours = _OURS.fullmatch(operation_id)
    return _OF_PREFIX[ours[1]] if ours else Origin.ENDPOINT
