"""What both doors do with a request or with what should have been one: one path, so that the doors cannot differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from coordinator.acceptance import Acceptance
from coordinator.domain import audit
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.errors import CoordinatorError, OtherBody
from coordinator.ports import Clock
from coordinator.rejections import Rejections


@dataclass(frozen=True)
class Reception:
    acceptance: Acceptance
    rejections: Rejections
    clock: Clock
    counts: Counter[str] = field(default_factory=Counter)

    async def take(self, request: MigrationRequest) -> Run:
        """The run of this request; another body under a known id is put on record before it is refused."""
        try:
            run = await self.acceptance.accept(request)
        except OtherBody as error:
            self.counts["conflict"] += 1
            await self.rejections.record(
                audit.about_conflict(
                    request.request_id, request.digest, self.clock(), error.problem(), request.requested_by
                )
            )
            raise
        except CoordinatorError as error:
            raise error.about(request.request_id) from None
        self.counts["accepted"] += 1
        return run

    async def refuse(self, key: tuple[str, ...], error: CoordinatorError, request_id: str | None) -> None:
        """Puts a refused event on record, once per event however often it is delivered."""
        self.counts["rejected"] += 1
        event = audit.about_rejection(key, self.clock(), error.problem(), request_id=request_id)
        await self.rejections.record(event)
