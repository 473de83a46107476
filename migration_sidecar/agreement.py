"""Holds an operation to the plan that its caller agreed to: when it is accepted, and again before anything is done."""

from __future__ import annotations

from migration_sidecar.errors import PlanChanged
from migration_sidecar.history import History, RevisionFile
from migration_sidecar.messages import MigrationPlan, Operation, OperationRequest, Problem
from migration_sidecar.reading import digest

OTHER_FILES = "The revision files or the database are not what the plan was made of."


def require_agreed(request: OperationRequest, plan: MigrationPlan) -> None:
    """Raises PlanChanged when the caller agreed to something else than what would happen now."""
    expected = request.expected_revisions
    if expected is not None and sorted(expected) != sorted(plan.from_revisions):
        at = ", ".join(plan.from_revisions) or "no revision"
        raise PlanChanged(f"The database is at {at}, not at {', '.join(expected) or 'no revision'}.")
    if request.plan_digest is not None and request.plan_digest != plan.digest:
        raise PlanChanged(OTHER_FILES)


def agreed_steps(request: OperationRequest, record: Operation, history: History) -> list[RevisionFile] | None:
    """What an operation may do at most; None where its caller did not say where it begins."""
    if request.expected_revisions is None and request.plan_digest is None:
        return None
    if not set(record.from_revisions) <= set(history.revisions):
        return None  # that is told by itself
    return history.between(request.action, record.from_revisions, request.target)


def other_files(
    request: OperationRequest, record: Operation, agreed: list[RevisionFile], history: History
) -> Problem | None:
    """What is in the way of an operation whose files were replaced while it waited for others, or for a restart."""
    before, after = record.from_revisions, history.heads_after(request.action, record.from_revisions, agreed)
    now = digest(record.service, request.action, before, after, [step.sha256 for step in agreed])
    return PlanChanged(OTHER_FILES).problem if request.plan_digest not in (None, now) else None
