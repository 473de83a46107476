"""Describes in one sentence why Pydantic or FastAPI refused a request; refuses parameters that occur twice."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from migration_sidecar.contract.strict_json import quote_for_message

PLAIN_NAME = re.compile(r"\w{1,80}", re.ASCII)
ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")  # how pydantic prints a member of an enumeration
PLACES = ("query", "path", "body")


def first_mistake(error: ValidationError | RequestValidationError) -> str:
    """The first mistake, without the value that was sent. An unknown name is quoted."""
    first = error.errors()[0]
    names = [str(part) for part in first["loc"] if part not in PLACES]
    where = ".".join(name if PLAIN_NAME.fullmatch(name) else quote_for_message(name) for name in names) or "the body"
    return f"{where}: {ENUM_MEMBER.sub(lambda match: match[1], first['msg']).rstrip('.')}."


# Coroutines, like every dependency of ours: FastAPI gives each other function to a thread, and a request waits for it.
async def _each_parameter_once(request: Request) -> None:
    names: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in names:
            twice: dict[str, Any] = {"loc": ("query", name), "msg": "it is given more than once"}
            raise RequestValidationError([twice])
        names.add(name)


# A dependency for routes and routers. Without it FastAPI silently uses the last of two values.
EACH_PARAMETER_ONCE: Any = Depends(_each_parameter_once)
