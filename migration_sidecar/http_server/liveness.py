"""The answer of GET /healthz."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Liveness(BaseModel):
    """Every answer means that the process is alive."""

    status: Literal["alive"] = "alive"
