"""The history of one Alembic environment as plain data, and what lies between two of its revisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from migration_sidecar.errors import HistoryUnreadable, NotApplied, UnknownTarget
from migration_sidecar.messages import Action, PlannedRevision


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

    @property
    def before(self) -> tuple[str, ...]:
        return self.down + self.depends_on

    def planned(self, action: Action) -> PlannedRevision:
        destructive = self.destructive_upgrade if action is Action.UPGRADE else self.destructive_downgrade
        return PlannedRevision(
            id=self.id,
            message=self.message,
            sha256=self.sha256,
            transactional=self.transactional,
            reversible=self.reversible,
            destructive=destructive,
        )


@dataclass(frozen=True)
class History:
    """All revisions of one environment; `heads` as Alembic names them."""

    heads: tuple[str, ...]
    revisions: Mapping[str, RevisionFile]

    @classmethod
    def from_inspection(cls, result: dict[str, Any]) -> History:
        files = [
            RevisionFile(**{**each, "down": tuple(each["down"]), "depends_on": tuple(each["depends_on"])})
            for each in result["revisions"]
        ]
        return cls(heads=tuple(result["heads"]), revisions={file.id: file for file in files})

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every revision behind all it builds on."""
        graph = {revision: set(file.before) for revision, file in sorted(self.revisions.items())}
        return tuple(TopologicalSorter(graph).static_order())

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

    def resolve(self, target: str) -> tuple[str, ...]:
        """`head`, `heads` or a full id; raises UnknownTarget, or CM-301 when `head` is not one revision."""
        if target == "heads":
            return self.heads
        if target == "head":
            if len(self.heads) > 1:
                names = ", ".join(f"{head} ({self.revisions[head].path.rsplit('/', 1)[-1]})" for head in self.heads)
                raise HistoryUnreadable(
                    "CM-301",
                    "The history has several heads",
                    f"It ends in {names}, so head is not one revision.",
                    "Create a merge revision: alembic merge heads.",
                )
            return self.heads
        if target not in self.revisions:
            raise UnknownTarget(target)
        return (target,)

    def between(self, action: Action, current: Iterable[str], target: str) -> list[RevisionFile]:
        """What would be applied (oldest first) or reverted (newest first) to get from `current` to `target`."""
        there = self.ancestors(current)
        if action is Action.UPGRADE:
            wanted = self.ancestors(self.resolve(target))
            return [self.revisions[revision] for revision in self.order if revision in wanted - there]
        if target == "base":
            return [self.revisions[revision] for revision in reversed(self.order) if revision in there]
        (goal,) = self.resolve(target)
        if goal not in there:
            raise NotApplied(target)
        # As Alembic has it: what follows the goal goes, and what builds on that; what only depends on it may stay.
        above = {revision for revision in there if goal in self.revisions[revision].down}
        return [
            self.revisions[revision]
            for revision in reversed(self.order)
            if revision in there and above & self.ancestors([revision])
        ]

    def heads_after(self, action: Action, current: Iterable[str], steps: list[RevisionFile]) -> list[str]:
        """What the version table will hold when the steps are done."""
        there = self.ancestors(current)
        moved = {step.id for step in steps}
        there = there | moved if action is Action.UPGRADE else there - moved
        covered = {below for revision in there for below in self.revisions[revision].before}
        return sorted(there - covered)
