"""Every key that the coordinator writes to Dapr state: those of runs, and those of its own documents."""

from __future__ import annotations

from enum import StrEnum

from coordinator.errors import BadRequestId, quote_for_message
from migration_sidecar.contract.request_id import REQUEST_ID

RUN = "run-"


class OwnKey(StrEnum):
    """The keys of the coordinator's own documents. None begins with `run-`, so no request id can give one of them."""

    INDEX = "index-of-runs"
    SPOOL = "rejections-pending"
    DEAD_LETTERS = "index-of-dead-letters"


# Where version 0.1 kept the index: it is also the key of a run that is called `index`.
FORMER_INDEX = f"{RUN}index"


def key_of_run(request_id: str) -> str:
    """`run-<request_id>`, as the contract says; raises CM-103 for what is no request id."""
    if not REQUEST_ID.fullmatch(request_id):
        raise BadRequestId(f"{quote_for_message(request_id)} is not of the form [A-Za-z0-9_-]{{1,64}}")
    return f"{RUN}{request_id}"


def key_of_dead_letter(place: int) -> str:
    """The key of one of the places for dead letters, which the index counts from 0."""
    return f"dead-letter-{place}"


def key_beside(key: str, fingerprint: str) -> str:
    """The key for the copy of a damaged document; the same damage gives the same key."""
    return f"damaged-{key}-{fingerprint[:16]}"
