"""What an operation was accepted to do: it is held to that, and judged by that, whatever the files say by then."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.errors import PlanChanged
from migration_sidecar.contract.messages import Action, Message, MigrationPlan, OperationRequest, Problem

OTHER_FILES = "The revision files or the database are not what the plan was made of."


class AgreedRevision(Message):
    """A revision to be applied or reverted, and its file as it was then."""

    id: str
    sha256: str


class Agreed(Message):
    """Fixed when the operation is accepted, and stored with it: `head` may mean something else a moment later."""

    action: Action
    target: str  # as it was asked for
    to_revisions: list[str]  # what the version table holds then
    goals: list[str]  # what the target of an upgrade means, by full ids
    revisions: list[AgreedRevision]  # in their order

    @classmethod
    def by(cls, history: History, action: Action, rows: Iterable[str], target: str) -> Agreed:
        """Nothing can be agreed for a database at a revision that these files do not know."""
        before = sorted(rows)
        known = history.knows(before)
        steps = history.between(action, before, target) if known else []
        return cls(
            action=action,
            target=target,
            to_revisions=history.heads_after(action, before, steps),
            goals=list(history.goals(target, before)) if known and action is Action.UPGRADE else [],
            revisions=[AgreedRevision(id=step.id, sha256=step.sha256) for step in steps],
        )

    def is_reached(self, rows: Collection[str]) -> bool:
        """Told by the version table alone; False where nothing was to be done, which the files must tell."""
        if not self.revisions:
            return False
        if self.action is Action.UPGRADE:
            return set(self.to_revisions) <= set(rows)
        return set(self.to_revisions) == set(rows)

    def left(self, history: History, rows: Collection[str]) -> list[RevisionFile]:
        """What is still to be done to a database at revisions that the files know.

        Raises PlanChanged where the files that were agreed are gone, NotApplied for a downgrade that leads nowhere.
        """
        if gone := [each.id for each in self.revisions if each.id not in history.revisions]:
            raise PlanChanged(f"There is no revision file of {', '.join(gone)} any more.")
        if self.action is Action.UPGRADE:
            return history.leading_to(self.goals, rows)
        return history.between(self.action, rows, self.target)

    def undone(self, rows: Collection[str], done: Collection[str]) -> list[str]:
        """What is left by all that is known where the files know too little; `done` is what our own rows tell."""
        there = set(rows) if self.action is Action.UPGRADE else set()
        return [each.id for each in self.revisions if each.id not in there.union(done)]


def require_agreed(request: OperationRequest, plan: MigrationPlan) -> None:
    """Raises PlanChanged when the caller agreed to something else than what would happen now."""
    expected = request.expected_revisions
    if expected is not None and sorted(expected) != sorted(plan.from_revisions):
        at = ", ".join(plan.from_revisions) or "no revision"
        raise PlanChanged(f"The database is at {at}, not at {', '.join(expected) or 'no revision'}.")
    if request.plan_digest is not None and request.plan_digest != plan.digest:
        raise PlanChanged(OTHER_FILES)


def limits(request: OperationRequest, agreed: Agreed) -> dict[str, str | None] | None:
    """The revisions that may be applied or reverted, each with the SHA-256 of its file where a plan was agreed to.

    None for any: an upgrade whose caller did not say where it begins does what is missing, if more is missing by then.
    """
    said = request.expected_revisions is not None or request.plan_digest is not None
    if not said and agreed.action is Action.UPGRADE:
        return None
    return {each.id: each.sha256 if request.plan_digest is not None else None for each in agreed.revisions}


def other_files(request: OperationRequest, agreed: Agreed, history: History) -> Problem | None:
    """What is in the way of an operation whose files were replaced while it waited for others, or for a restart."""
    if request.plan_digest is None:
        return None
    now = history.revisions
    same = all(each.id in now and now[each.id].sha256 == each.sha256 for each in agreed.revisions)
    return None if same else PlanChanged(OTHER_FILES).problem
