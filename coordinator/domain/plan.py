"""The plan of each service and all obstacles. Making a plan changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from coordinator.domain.catalog import Service
from coordinator.domain.request import MigrationRequest
from coordinator.domain.step import Step
from migration_sidecar.contract.messages import MigrationPlan, Problem


class FleetPlan(BaseModel):
    """One plan per service that could give one, in migration order, and one problem per obstacle anywhere."""

    model_config = ConfigDict(frozen=True)

    plans: list[MigrationPlan]
    obstacles: list[Problem]

    @property
    def digest(self) -> str:
        """SHA-256 over services, targets, from, to, and each plan's own digest, which covers the revision files."""
        facts = [
            [plan.service, plan.target, sorted(plan.from_revisions), sorted(plan.to_revisions), plan.digest]
            for plan in self.plans
        ]
        return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()

    def of(self, service: str) -> MigrationPlan | None:
        """The plan of one service; None where it gave none."""
        return next((plan for plan in self.plans if plan.service == service), None)


def nothing_to_do(plan: MigrationPlan) -> bool:
    """Whether the database is at the target of the plan already."""
    return not plan.revisions and sorted(plan.from_revisions) == sorted(plan.to_revisions)


def assemble(answers: Iterable[MigrationPlan | Problem]) -> FleetPlan:
    """One plan of all answers; a service's own obstacles get its name where they have none."""
    plans: list[MigrationPlan] = []
    obstacles: list[Problem] = []
    for answer in answers:
        if isinstance(answer, Problem):
            obstacles.append(answer)
        else:
            plans.append(answer)
            obstacles += [o.model_copy(update={"service": o.service or answer.service}) for o in answer.obstacles]
    return FleetPlan(plans=plans, obstacles=obstacles)


def step_of(service: Service, plan: MigrationPlan | None, request: MigrationRequest, *, after: list[str]) -> Step:
    """The pending step of one service; without a plan it has no revisions."""
    step = Step(
        service=service.name,
        database=service.database or "",
        after=after,
        target=service.target_in(request),
        beside_other_tables=service.is_beside_other_tables_in(request),
    )
    if plan is None:
        return step
    return step.model_copy(
        update={
            "from_revisions": sorted(plan.from_revisions),  # whatever order the service gives several heads in
            "to_revisions": sorted(plan.to_revisions),
            "planned": [revision.id for revision in plan.revisions],
            "plan_digest": plan.digest,
        },
    )
