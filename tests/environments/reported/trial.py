"""A trial: one case through one door, with one driver, on one server, up to the first step that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.environments.journeys import Traveller
from tests.environments.reported.case import Case
from tests.environments.reported.doors import BareAlembic, Door, opened
from tests.environments.reported.project import Project, State, project


@dataclass(frozen=True, repr=False)
class Trial:
    """`way` is bare, command-line or endpoint; `server` is 18, 16 or other."""

    case: Case
    way: str
    driver: str
    server: str

    def __str__(self) -> str:
        return f"{self.case.name}-{self.way}-{self.driver}-{self.server}"

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash(str(self))

    def bare(self) -> Trial:
        return replace(self, way="bare")


@dataclass(frozen=True)
class Taken:
    step: str
    done: bool
    said: str
    state: State


@dataclass(frozen=True)
class Seen:
    """`foreseen` is whether the plan of the first step had no obstacle; `faults` are what no door may do."""

    before: State
    foreseen: bool
    taken: list[Taken]
    faults: list[str]


class TrialRunner:
    """Trials may be made at the same time: each has databases and a copy of its project to itself."""

    def __init__(self, traveller: Traveller) -> None:
        self._traveller = traveller

    def make(self, trial: Trial) -> Seen:
        with self.placed(trial) as ours, opened(trial.way, ours) as door:
            before = ours.state()
            foreseen, faults = True, []
            if trial.way != "bare":
                foreseen = door.plan(trial.case.steps[0].split()[1])
                door.status()
                if (looked := ours.state()) != before:
                    faults.append(f"status or plan changed something:\n{before.difference(looked)}")
            taken = list(_take_all(trial, door, ours))
        return Seen(before, foreseen, taken, [*faults, *door.faults])

    @contextmanager
    def placed(self, trial: Trial) -> Iterator[Project]:
        server, drivers = self._traveller.servers[trial.server](), self._traveller.interpreters["drivers"]()
        folder, nurseries = self._traveller.folder, self._traveller.nurseries
        with project(trial.case, trial.driver, server, folder, nurseries, drivers) as placed:
            yield placed


def _take_all(trial: Trial, door: Door, ours: Project) -> Iterator[Taken]:
    for step in trial.case.steps:
        word, rest = step.split(" ", 1)
        if word == "sql":
            ours.execute(rest)
            continue
        # A check of the pipeline's is bare Alembic's, whoever migrated.
        done, said = BareAlembic(ours).run(*rest.split()) if word == "alembic" else door.migrate(word, rest)
        yield Taken(step, done, said, ours.state())
        if not done:
            return
        if trial.way != "bare" and step == "upgrade head" and (state := door.status()) != "at_head":
            door.faults.append(f"after `{step}` the status is {state}")


def up_to(trial: Trial, revision: str) -> Trial:
    """Bare Alembic's way to one revision, and no further."""
    case = replace(trial.case, name=f"{trial.case.name}-up-to-{revision}", steps=(f"upgrade {revision}",))
    return replace(trial, way="bare", case=case)
