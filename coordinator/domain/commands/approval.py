"""The approval of a plan: why it is needed, whose it is, and what ends it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ApprovalState(StrEnum):
    """Where an approval is."""

    AWAITED = "awaited"
    GIVEN = "given"  # by somebody else than the requester, for this digest; good until it expires or is void
    VOID = "void"  # what was approved is not what would be done any more; it is awaited again
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a run needs one."""

    REQUEST = "request"  # the request asks for it
    SERVICE = "service"  # fleet.toml asks for it, for one of the services
    DOWNGRADE = "downgrade"
    DESTRUCTIVE = "destructive"  # a revision may lose data
    NON_TRANSACTIONAL = "non_transactional"  # a revision cannot be undone by a rollback


Implied = Literal["downgrade", "destructive", "non_transactional"]


class ApprovalPolicy(BaseModel):
    """[approvals] of fleet.toml. A downgrade through the coordinator always needs one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    implied_by: list[Implied] = ["downgrade"]
    expires_after_hours: int = Field(default=24, ge=1, le=24 * 30)

    @property
    def lasts(self) -> timedelta:
        """How long one that was given is good."""
        return timedelta(hours=self.expires_after_hours)


class Approval(BaseModel):
    """What the run record holds of it."""

    model_config = ConfigDict(frozen=True)

    state: ApprovalState = ApprovalState.AWAITED
    because: list[Reason]
    digest: str | None = None  # that was approved
    by: str | None = None
    reason: str | None = None
    at: datetime | None = None
    expires_at: datetime | None = None
    void_because: list[str] = []  # one sentence for each member of the plan that changed
