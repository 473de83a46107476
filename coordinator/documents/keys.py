"""Every key that the coordinator writes to Dapr state: those of runs, and those of its own documents."""

from __future__ import annotations

from enum import StrEnum

from coordinator.errors import BadRequestId, quoted
from migration_sidecar.contract.request_id import REQUEST_ID

RUN = "run-"


class OwnKey(StrEnum):
    """One document each. None begins as a run's key does, so that no request id can ever give one of them."""

    INDEX = "index-of-runs"
    REMARKS = "rejections-pending"


# Where the first release kept the index: it is the key of a run that is called `index` as well.
FORMER_INDEX = f"{RUN}index"


def key_of_run(request_id: str) -> str:
    """The contract: `run-<request_id>`; raises CM-103 for what is no request id, whoever asks."""
    if not REQUEST_ID.fullmatch(request_id):
        raise BadRequestId(f"{quoted(request_id)} is not of the form [A-Za-z0-9_-]{{1,64}}")
    return f"{RUN}{request_id}"


def key_beside(key: str, fingerprint: str) -> str:
    """Where a damaged document of our own is kept for a person; the same damage gives the same key."""
    return f"damaged-{key}-{fingerprint[:16]}"
