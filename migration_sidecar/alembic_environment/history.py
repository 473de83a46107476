"""The history of one Alembic environment as plain data, and the steps between its revisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from migration_sidecar.alembic_environment.revision_order import topological_order
from migration_sidecar.alembic_environment.version_rows import rows_after_downgrade, rows_after_upgrade
from migration_sidecar.contract.errors import HistoryUnreadable, RevisionNotApplied, UnknownTarget
from migration_sidecar.contract.messages import Action, PlannedRevision
from migration_sidecar.contract.target import is_end
from migration_sidecar.protocol.first_upgrade.other_histories import revision_fingerprint
from migration_sidecar.protocol.results import HistoryFacts, MadeTables, RevisionFacts


@dataclass(frozen=True)
class Finding:
    """A line of a revision file that cannot do what its author meant when the revision runs in this direction."""

    kind: str  # concurrently | autocommit_block | offline_only | drops_journal | raises | missing
    action: Action
    line: int


@dataclass(frozen=True)
class RevisionFile:
    """One revision as its file describes it."""

    id: str
    message: str
    sha256: str
    path: str
    down: tuple[str, ...]
    depends_on: tuple[str, ...]
    transactional: bool
    reversible: bool
    destructive_upgrade: bool
    destructive_downgrade: bool
    labels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    may_widen_version: bool = False  # the column of the version table

    @property
    def name(self) -> str:
        """The file name. The folder is not shown to callers."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def before(self) -> tuple[str, ...]:
        """The revisions that must be applied before this one."""
        return self.down + self.depends_on

    def planned(self, action: Action, *, autocommit: bool = False) -> PlannedRevision:
        """This revision as a step of a plan. `autocommit` says that env.py uses no transactions."""
        destructive = self.destructive_upgrade if action is Action.UPGRADE else self.destructive_downgrade
        return PlannedRevision(
            id=self.id,
            message=self.message,
            sha256=self.sha256,
            transactional=self.transactional and not autocommit,
            reversible=self.reversible,
            destructive=destructive,
        )


@dataclass(frozen=True)
class History:
    """All revisions of one environment. `heads` are those that Alembic calls heads."""

    heads: tuple[str, ...]
    revisions: Mapping[str, RevisionFile]
    makes_version_table: bool = False  # env.py may, with a column that is wider than Alembic's 32 characters
    default_target: str = ""  # what `head` means, such as `main@head`; empty for the heads of the whole history
    makes: MadeTables | None = None  # None if the files could not be read

    @classmethod
    def from_inspection(cls, result: HistoryFacts, default_target: str = "") -> History:
        """From the result of an `inspect` or `look` job."""
        files = [_file(each) for each in result["revisions"]]
        return cls(
            heads=tuple(result["heads"]),
            revisions={file.id: file for file in files},
            makes_version_table=result["makes_version_table"],
            default_target=default_target,
            makes=result["makes"],
        )

    @property
    def status_target(self) -> str:
        """The target whose revisions make a database at head."""
        return self.default_target or "heads"

    @property
    def target_heads(self) -> tuple[str, ...]:
        """The ids of the revisions that make a database at head."""
        return self.resolve(self.default_target) if self.default_target else self.heads

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All revisions, each after those it builds on."""
        return tuple(reversed(self._down(self.revisions, self.resolve("heads"))))

    @cached_property
    def file_hashes(self) -> frozenset[str]:
        """Identifies every file, to compare with other histories in the same database."""
        return frozenset(revision_fingerprint(file.id, file.sha256) for file in self.revisions.values())

    @cached_property
    def below(self) -> Mapping[str, tuple[str, ...]]:
        """Per revision, what it follows and depends on, without dependencies that a revision below it has too."""
        return {revision: self._needs(file) for revision, file in self.revisions.items()}

    def ancestors(self, revisions: Iterable[str]) -> set[str]:
        """The given revisions, without unknown ids, and all that they build on."""
        reached: set[str] = set()
        todo = [revision for revision in revisions if revision in self.revisions]
        while todo:
            revision = todo.pop()
            if revision not in reached:
                reached.add(revision)
                todo.extend(self.revisions[revision].before)
        return reached

    def lineage(self, revision: str) -> set[str]:
        """The revision and all that it follows by down_revision, without dependencies."""
        reached: set[str] = set()
        todo = [revision]
        while todo:
            each = todo.pop()
            if each not in reached:
                reached.add(each)
                todo.extend(self.revisions[each].down)
        return reached

    def resolve(self, target: str) -> tuple[str, ...]:
        """The ids for `head`, `heads`, `BRANCH@head`, `BRANCH@heads` or a full id.

        Raises UnknownTarget, or HistoryUnreadable (CM-301) for a `head` if there are several.
        """
        target = self._meant(target)
        if is_end(target):
            branch, _, name = target.rpartition("@")
            heads = self._heads_of(branch)
            if name == "head" and len(heads) > 1:
                raise self._several_heads(target, heads)
            implied = self._strictly_below(heads)  # a head may depend on another one
            return tuple(head for head in heads if head not in implied)
        if target not in self.revisions:
            raise UnknownTarget(target)
        return (target,)

    def knows(self, revisions: Iterable[str]) -> bool:
        """Whether all these ids are revisions of this history."""
        return set(revisions) <= set(self.revisions)

    def between(self, action: Action, current: Iterable[str], target: str) -> list[RevisionFile]:
        """The revisions to apply (oldest first) or to revert (newest first) to get from `current` to `target`."""
        if action is Action.UPGRADE:
            return self.leading_to(self.goals(target, current), current)
        return self._files(self._leaving(self.ancestors(current), target), current)

    def goals(self, target: str, current: Iterable[str]) -> tuple[str, ...]:
        """The revisions at which an upgrade to `target` ends; raises as `resolve` does."""
        target = self._meant(target)
        branch, _, name = target.rpartition("@")
        if name == "head" and self.ancestors(current).issuperset(heads := self._heads_of(branch)):
            return heads  # also if there are several: all are applied already
        return self.resolve(target)

    def leading_to(self, goals: Collection[str], current: Iterable[str]) -> list[RevisionFile]:
        """The revisions to apply, oldest first, until all goals are applied."""
        return list(reversed(self._files(self.ancestors(goals) - self.ancestors(current), goals)))

    def _files(self, wanted: Collection[str], ends: Iterable[str]) -> list[RevisionFile]:
        return [self.revisions[revision] for revision in self._down(wanted, ends)]

    def _down(self, wanted: Collection[str], ends: Iterable[str]) -> list[str]:
        return topological_order(wanted, ends, self.below, self.ancestors)

    def _leaving(self, there: set[str], target: str) -> set[str]:
        """The revisions to revert, by Alembic's rule: those that follow the goal, and all that build on them."""
        branch, _, goal = target.rpartition("@")
        if goal != "base":
            goal = self._one(goal)
            if goal not in there:
                raise RevisionNotApplied(target)
        following = {file.id for file in self.revisions.values() if goal in (file.down or ("base",))}
        if branch and len(following) > 1:
            following &= self.lineage(self._branch(branch))
            if not following:
                raise RevisionNotApplied(target)
        leaving: set[str] = set()
        for revision in self.order:
            if revision in there and (revision in following or leaving.intersection(self.revisions[revision].before)):
                leaving.add(revision)
        return leaving

    def _one(self, target: str) -> str:
        goals = self.resolve(target)
        if len(goals) != 1:
            raise UnknownTarget(target)
        return goals[0]

    def _heads_of(self, branch: str) -> tuple[str, ...]:
        """The heads of one branch; of the whole history if no branch is named."""
        if not branch:
            return self.heads
        first = self._branch(branch)
        return tuple(head for head in self.heads if first in self.lineage(head))

    def _branch(self, name: str) -> str:
        """The revision with this branch label or, as in Alembic, with this id."""
        for file in self.revisions.values():
            if name == file.id or name in file.labels:
                return file.id
        raise UnknownTarget(name)

    def _several_heads(self, target: str, heads: Iterable[str]) -> HistoryUnreadable:
        names = ", ".join(f"{head} ({self.revisions[head].name})" for head in heads)
        return HistoryUnreadable("CM-301", f"It ends in {names}, so {target} is not one revision.")

    def _meant(self, target: str) -> str:
        return self.default_target if target == "head" and self.default_target else target

    def heads_after(self, action: Action, current: Iterable[str], steps: list[RevisionFile]) -> list[str]:
        """The rows of the version table after the steps, as Alembic changes them."""
        rows = set(current)
        after = rows_after_upgrade if action is Action.UPGRADE else rows_after_downgrade
        for step in steps:
            rows = after(rows, step.id, self.below, self.ancestors)
        return sorted(rows)

    def _needs(self, file: RevisionFile) -> tuple[str, ...]:
        line = self.lineage(file.id) - {file.id} if file.depends_on else set()
        implied = {each for revision in line for each in self.revisions[revision].depends_on} | set(file.down)
        return file.down + tuple(each for each in file.depends_on if each not in implied)

    def _strictly_below(self, revisions: Iterable[str]) -> set[str]:
        """All that these revisions build on; one of them only if another one builds on it."""
        return self.ancestors(below for revision in revisions for below in self.revisions[revision].before)


def _file(described: RevisionFacts) -> RevisionFile:
    findings = tuple(Finding(each["kind"], Action(each["action"]), each["line"]) for each in described["findings"])
    lists = {name: tuple(value) for name, value in described.items() if isinstance(value, list)}
    facts: dict[str, Any] = {**described, **lists, "findings": findings}
    return RevisionFile(**facts)
