"""How every route reads its query parameters: known names only, numbers and switches in one spelling."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

LAST_SEQ = 2**63 - 1  # the largest number a row can have
NUMBER = re.compile(r"(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)  # as in JSON


class QueryParameters(BaseModel):
    """Base of the parameters of one route; an unknown name is refused, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(QueryParameters):
    """For a route that takes none."""


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("it must be a whole number, in digits only")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError("it must be a number")
    return value


def _switch(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("it must be true or false")
    return value


# Pydantic alone would also take " 5", "+5" and "1_000" for numbers, and "on", "yes" and "1" for true.
WholeNumber = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
TrueOrFalse = Annotated[bool, BeforeValidator(_switch)]
