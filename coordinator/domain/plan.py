"""The plan of each service and all obstacles. Making a plan changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

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

    def of(self, service: str) -> MigrationPlan | None:
        """The plan of one service; None where it gave none."""
        return next((plan for plan in self.plans if plan.service == service), None)


def plan_digest(steps: Sequence[Step], request: MigrationRequest) -> str:
    """SHA-256 over all that an approval binds: what is done where, with which files, in which order, by which policy.

    The digest of each service's own plan covers its revision files. `plan/1` names this form.
    """
    work = [
        [step.service, step.target, step.from_revisions, step.to_revisions, step.plan_digest, step.after]
        for step in steps
    ]
    members = {"format": "plan/1", "action": request.action, "steps": work, "policy": request.policy}
    return hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def changed_members(before: Sequence[Step], after: Sequence[Step]) -> list[str]:
    """One sentence for each member of the first plan that is another one in the second; empty where all are equal."""
    new = {step.service: step for step in after}
    changed: list[str] = []
    for old in before:
        if old.state.ended:
            continue
        step = new.get(old.service)
        if step is None:
            changed.append(f"{old.service} is not part of the plan any more.")
            continue
        if step.from_revisions != old.from_revisions:
            changed.append(f"The database of {old.service} is at {_places(step.from_revisions)}, "
                           f"and was at {_places(old.from_revisions)}.")  # fmt: skip
        if step.to_revisions != old.to_revisions:
            changed.append(f"{old.service} would be taken to {_places(step.to_revisions)}, "
                           f"and not to {_places(old.to_revisions)}.")  # fmt: skip
        elif step.plan_digest != old.plan_digest and step.from_revisions == old.from_revisions:
            changed.append(f"The revision files of {old.service} changed.")
        if step.after != old.after:
            changed.append(f"The order of {old.service} changed.")
    changed += [f"{name} was not part of the plan." for name in new if name not in {old.service for old in before}]
    return changed


def _places(revisions: Sequence[str]) -> str:
    return ", ".join(revisions) or "no revision"


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
