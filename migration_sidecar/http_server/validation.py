"""What is wrong with a request that Pydantic or FastAPI refused, in one sentence; and parameters given twice."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from migration_sidecar.contract.strict_json import quote_for_message

OURS = re.compile(r"\w{1,80}", re.ASCII)
MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")  # how pydantic shows a word of a list that may be chosen from
PLACES = ("query", "path", "body")


def first_mistake(error: ValidationError | RequestValidationError) -> str:
    """The first thing that is wrong, without the value that was sent; a name that was sent is quoted."""
    first = error.errors()[0]
    names = [str(part) for part in first["loc"] if part not in PLACES]
    where = ".".join(name if OURS.fullmatch(name) else quote_for_message(name) for name in names) or "the body"
    return f"{where}: {MEMBER.sub(lambda found: found[1], first['msg']).rstrip('.')}."


def _each_parameter_once(request: Request) -> None:
    names: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in names:
            twice: dict[str, Any] = {"loc": ("query", name), "msg": "it is given more than once"}
            raise RequestValidationError([twice])
        names.add(name)


# For routes and routers: of two values FastAPI would take the last and say nothing.
EACH_PARAMETER_ONCE: Any = Depends(_each_parameter_once)
