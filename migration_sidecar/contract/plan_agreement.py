"""Whether what would happen now is what the caller of an operation agreed to."""

from __future__ import annotations

from migration_sidecar.contract.errors import PlanChanged
from migration_sidecar.contract.messages import MigrationPlan, OperationRequest

OTHER_FILES = "The revision files or the database are not what the plan was made of."


def require_agreed(request: OperationRequest, plan: MigrationPlan) -> None:
    """Raises PlanChanged when the caller agreed to something else than what would happen now."""
    expected = request.expected_revisions
    if expected is not None and sorted(expected) != sorted(plan.from_revisions):
        at = ", ".join(plan.from_revisions) or "no revision"
        raise PlanChanged(f"The database is at {at}, not at {', '.join(expected) or 'no revision'}.")
    if request.plan_digest is not None and request.plan_digest != plan.digest:
        raise PlanChanged(OTHER_FILES)
