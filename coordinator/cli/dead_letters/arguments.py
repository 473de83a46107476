"""The argument that the commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.client.errors import BadInput
from migration_sidecar.contract.request_id import REQUEST_ID

Letter = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Its id, or the request id that its publisher knows, if no other came under that one."
    ),
]


def letter_name(value: str) -> str:
    """The value, if it can be the id of a letter or of a request. Raises BadInput otherwise."""
    if not REQUEST_ID.fullmatch(value):
        raise BadInput(
            "This is not the id of a dead letter",
            "such an id has 1 to 64 letters, digits, - or _",
            "coordinator dead-letters list shows those that are kept",
            code="CM-604",
        )
    return value
