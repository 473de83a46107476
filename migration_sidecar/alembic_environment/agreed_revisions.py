"""The revisions that an operation was accepted with. It does these, even if the files change before it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.errors import PlanChanged
from migration_sidecar.contract.messages import Action, Message
from migration_sidecar.protocol.first_upgrade.rule import Beside


class AgreedRevision(Message):
    """A revision to apply or revert, with the SHA-256 of its file when the operation was accepted."""

    id: str
    sha256: str


class AgreedPlan(Message):
    """What an operation will do. Stored with it when it is accepted, because `head` may mean another revision later."""

    action: Action
    target: str  # as requested
    to_revisions: list[str]  # what the version table holds afterwards
    goals: list[str]  # what the target of an upgrade means, by full ids
    revisions: list[AgreedRevision]  # in their order
    # What it stands beside at a first upgrade, if that was judged.
    beside: Beside | None = None

    @classmethod
    def by(cls, history: History, action: Action, rows: Iterable[str], target: str) -> AgreedPlan:
        """For a database whose version table holds `rows`; with an unknown revision among them there are no steps."""
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
        """Whether these rows of the version table are the result. False without steps: then the files decide."""
        if not self.revisions:
            return False
        if self.action is Action.UPGRADE:
            return set(self.to_revisions) <= set(rows)
        return set(self.to_revisions) == set(rows)

    def remaining(self, history: History, rows: Collection[str]) -> list[RevisionFile]:
        """The revisions still to apply or revert. The files must know all `rows`.

        Raises PlanChanged if agreed files are missing, NotApplied if the target of a downgrade is not applied.
        """
        if gone := [each.id for each in self.revisions if each.id not in history.revisions]:
            raise PlanChanged(f"There is no revision file of {', '.join(gone)} any more.")
        if self.action is Action.UPGRADE:
            return history.leading_to(self.goals, rows)
        return history.between(self.action, rows, self.target)

    def undone(self, rows: Collection[str], done: Collection[str]) -> list[str]:
        """The ids still to do when the files do not know all `rows`; `done` are the ids with a journal row."""
        there = set(rows) if self.action is Action.UPGRADE else set()
        return [each.id for each in self.revisions if each.id not in there.union(done)]
