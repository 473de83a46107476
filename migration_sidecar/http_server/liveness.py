"""The answer of GET /healthz."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Liveness(BaseModel):
    """That there is an answer at all is what it says."""

    status: Literal["alive"] = "alive"
