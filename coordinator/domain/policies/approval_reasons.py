"""Why a plan needs an approval: the request, fleet.toml, or what the revisions do."""

from __future__ import annotations

from collections.abc import Collection

from coordinator.domain.commands.approval import ApprovalPolicy, Reason
from coordinator.domain.plan import FleetPlan
from coordinator.domain.request import MigrationRequest


def approval_reasons(
    request: MigrationRequest, plan: FleetPlan, policy: ApprovalPolicy, services_that_require: Collection[str]
) -> list[Reason]:
    """In the order of `Reason`; empty where the run may start at once."""
    revisions = [revision for each in plan.plans for revision in each.revisions]
    needed = {
        Reason.REQUEST: request.approval == "required",
        Reason.SERVICE: any(each.revisions for each in plan.plans if each.service in services_that_require),
        Reason.DOWNGRADE: request.action == "downgrade",
        Reason.DESTRUCTIVE: "destructive" in policy.implied_by and any(each.destructive for each in revisions),
        Reason.NON_TRANSACTIONAL: "non_transactional" in policy.implied_by
        and not all(each.transactional for each in revisions),
    }
    return [reason for reason in Reason if needed[reason]]
