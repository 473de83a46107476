"""The history of one Alembic environment as plain data, and what lies between two of its revisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from migration_sidecar.alembic_environment.revision_order import walk_down
from migration_sidecar.contract.errors import HistoryUnreadable, NotApplied, UnknownTarget
from migration_sidecar.contract.messages import Action, PlannedRevision
from migration_sidecar.protocol.results import HistoryFacts, RevisionFacts
from migration_sidecar.protocol.version_tables import file_mark


@dataclass(frozen=True)
class Finding:
    """A line of a revision file that cannot do what its author meant, on the way `action` goes."""

    kind: str  # concurrently | autocommit_block | offline_only | raises | missing
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

    @property
    def name(self) -> str:
        """The file without its folder, which is nobody's business outside this machine."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def before(self) -> tuple[str, ...]:
        return self.down + self.depends_on

    def planned(self, action: Action, *, autocommit: bool = False) -> PlannedRevision:
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
    """All revisions of one environment; `heads` as Alembic names them."""

    heads: tuple[str, ...]
    revisions: Mapping[str, RevisionFile]
    makes_version_table: bool = False  # env.py names its column, so it may have another width than Alembic's 32

    @classmethod
    def from_inspection(cls, result: HistoryFacts) -> History:
        files = [_file(each) for each in result["revisions"]]
        return cls(
            heads=tuple(result["heads"]),
            revisions={file.id: file for file in files},
            makes_version_table=result["makes_version_table"],
        )

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every revision behind all it builds on."""
        return tuple(reversed(self._down(self.revisions, self.resolve("heads"))))

    @cached_property
    def file_marks(self) -> frozenset[str]:
        return frozenset(file_mark(file.id, file.sha256) for file in self.revisions.values())

    @cached_property
    def below(self) -> Mapping[str, tuple[str, ...]]:
        """What each revision follows and depends on, unless something that it follows depends on that already."""
        return {revision: self._needs(file) for revision, file in self.revisions.items()}

    def ancestors(self, revisions: Iterable[str]) -> set[str]:
        """The given revisions and everything under them."""
        found: set[str] = set()
        todo = [revision for revision in revisions if revision in self.revisions]
        while todo:
            revision = todo.pop()
            if revision not in found:
                found.add(revision)
                todo.extend(self.revisions[revision].before)
        return found

    def line_below(self, revision: str) -> set[str]:
        """The revision and what it follows, without what it only depends on."""
        found: set[str] = set()
        todo = [revision]
        while todo:
            each = todo.pop()
            if each not in found:
                found.add(each)
                todo.extend(self.revisions[each].down)
        return found

    def resolve(self, target: str) -> tuple[str, ...]:
        """`head`, `heads`, `BRANCH@heads` or a full id; raises UnknownTarget, or CM-301 when `head` is not one."""
        branch, _, name = target.rpartition("@")
        if target == "heads":
            depended_on = {each for file in self.revisions.values() for each in file.depends_on}
            return tuple(head for head in self.heads if head not in depended_on)
        if name == "heads":
            return tuple(head for head in self.heads if self._branch(branch) in self.line_below(head))
        if target == "head":
            if len(self.heads) > 1:
                raise self._several_heads()
            return self.heads
        if target not in self.revisions:
            raise UnknownTarget(target)
        return (target,)

    def knows(self, revisions: Iterable[str]) -> bool:
        return set(revisions) <= set(self.revisions)

    def between(self, action: Action, current: Iterable[str], target: str) -> list[RevisionFile]:
        """What would be applied (oldest first) or reverted (newest first) to get from `current` to `target`."""
        if action is Action.UPGRADE:
            return self.leading_to(self.goals(target, current), current)
        return self._files(self._leaving(self.ancestors(current), target), current)

    def goals(self, target: str, current: Iterable[str]) -> tuple[str, ...]:
        """The revisions that an upgrade leads to; raises as `resolve` does."""
        if target == "head" and self.ancestors(current).issuperset(self.heads):
            return self.heads  # also of several: which of them was meant makes no difference
        return self.resolve(target)

    def leading_to(self, goals: Collection[str], current: Iterable[str]) -> list[RevisionFile]:
        """What would be applied, oldest first, until all goals are."""
        return list(reversed(self._files(self.ancestors(goals) - self.ancestors(current), goals)))

    def _files(self, wanted: Collection[str], ends: Iterable[str]) -> list[RevisionFile]:
        return [self.revisions[revision] for revision in self._down(wanted, ends)]

    def _down(self, wanted: Collection[str], ends: Iterable[str]) -> list[str]:
        return walk_down(wanted, ends, self.below, self.ancestors)

    def _leaving(self, there: set[str], target: str) -> set[str]:
        """As Alembic has it: what follows the goal goes, and all that builds on that or depends on it."""
        branch, _, goal = target.rpartition("@")
        if goal != "base":
            goal = self._one(goal)
            if goal not in there:
                raise NotApplied(target)
        following = {file.id for file in self.revisions.values() if goal in (file.down or ("base",))}
        if branch and len(following) > 1:
            following &= self.line_below(self._branch(branch))
            if not following:
                raise NotApplied(target)
        leaving: set[str] = set()
        for revision in self.order:
            if revision in there and (revision in following or leaving.intersection(self.revisions[revision].before)):
                leaving.add(revision)
        return leaving

    def _one(self, target: str) -> str:
        found = self.resolve(target)
        if len(found) != 1:
            raise UnknownTarget(target)
        return found[0]

    def _branch(self, name: str) -> str:
        """The revision that a branch label stands at; as in Alembic, a revision can be named for its branch too."""
        for file in self.revisions.values():
            if name == file.id or name in file.labels:
                return file.id
        raise UnknownTarget(name)

    def _several_heads(self) -> HistoryUnreadable:
        names = ", ".join(f"{head} ({self.revisions[head].name})" for head in self.heads)
        return HistoryUnreadable(
            "CM-301",
            "The history has several heads",
            f"It ends in {names}, so head is not one revision.",
            "Create a merge revision (alembic merge heads), or name the target: heads for all of them.",
        )

    def heads_after(self, action: Action, current: Iterable[str], steps: list[RevisionFile]) -> list[str]:
        """What the version table will hold when the steps are done, row by row as Alembic keeps it."""
        rows = set(current)
        for step in steps:
            rows = self._risen(rows, step) if action is Action.UPGRADE else self._fallen(rows, step)
        return sorted(rows)

    def _risen(self, rows: set[str], step: RevisionFile) -> set[str]:
        replaced = rows.intersection(self.below[step.id])
        if len(replaced) > 1:
            replaced -= self.ancestors(rows.difference(self.below[step.id]))
        return rows - replaced | {step.id}

    def _fallen(self, rows: set[str], step: RevisionFile) -> set[str]:
        others, under = rows - {step.id}, set(self.below[step.id])
        implied = self.ancestors(others) if others else self._strictly_below(under)
        return others | (under - implied)

    def _needs(self, file: RevisionFile) -> tuple[str, ...]:
        if not file.depends_on:
            return file.down
        line = self.line_below(file.id) - {file.id}
        implied = {each for revision in line for each in self.revisions[revision].depends_on} | set(file.down)
        return file.down + tuple(each for each in file.depends_on if each not in implied)

    def _strictly_below(self, revisions: set[str]) -> set[str]:
        return self.ancestors(below for revision in revisions for below in self.revisions[revision].before)


def _file(described: RevisionFacts) -> RevisionFile:
    return RevisionFile(
        id=described["id"],
        message=described["message"],
        sha256=described["sha256"],
        path=described["path"],
        down=tuple(described["down"]),
        depends_on=tuple(described["depends_on"]),
        transactional=described["transactional"],
        reversible=described["reversible"],
        destructive_upgrade=described["destructive_upgrade"],
        destructive_downgrade=described["destructive_downgrade"],
        labels=tuple(described["labels"]),
        findings=tuple(Finding(each["kind"], Action(each["action"]), each["line"]) for each in described["findings"]),
    )
