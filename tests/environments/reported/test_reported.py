"""Every reported environment ends as with bare Alembic, or is refused in one sentence before anything is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.environments import ground
from tests.environments.reported.case import Case, Right
from tests.environments.reported.cases import databases, histories, questions, transactions, words
from tests.environments.reported.conftest import See
from tests.environments.reported.judging import faults_of
from tests.environments.reported.project import State
from tests.environments.reported.trial import Trial, up_to

CASES = (*transactions.CASES, *histories.CASES, *databases.CASES, *questions.CASES, *words.CASES)
SERVERS = ("18", "16", *(["other"] if ground.installed() else []))
WAYS = ("command-line", "endpoint")
# Otherwise each case goes through both doors, with drivers and servers that change from case to case.
EVERY_COMBINATION = bool(os.environ.get("EVERY_COMBINATION"))


def trials(number: int, case: Case) -> Iterator[Trial]:
    for place, way in enumerate(WAYS):
        if EVERY_COMBINATION:
            yield from (Trial(case, way, driver, server) for driver in case.drivers for server in SERVERS)
        else:
            turn = number + place
            yield Trial(case, way, case.drivers[turn % len(case.drivers)], SERVERS[turn % len(SERVERS)])


TRIALS = [trial for number, case in enumerate(CASES) for trial in trials(number, case)]


def where_it_has_to_be(trial: Trial, see: See) -> State:
    """The state that a failure has to leave behind."""
    at_base = trial.case.left_at == "base"
    return see(trial.bare()).before if at_base else see(up_to(trial, trial.case.left_at)).taken[0].state


@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_it_ends_as_it_is_right(see: See, trial: Trial) -> None:
    bare, ours = see(trial.bare()), see(trial)
    left_at = where_it_has_to_be(trial, see) if trial.case.right is Right.FAILS else None
    faults = faults_of(trial.case, bare, ours, left_at)
    assert not faults, f"{trial.case.situation}\n" + "\n".join(faults)


@pytest.mark.parametrize("trial", [trial.bare() for trial in TRIALS if trial.case.right is Right.SAME], ids=str)
def test_bare_alembic_takes_every_step_of_a_case_that_has_to_end_the_same(see: See, trial: Trial) -> None:
    """Otherwise two equal failures would say nothing."""
    seen = see(trial)
    assert [each.step for each in seen.taken if not each.done] == []
    assert any(each.state != seen.before for each in seen.taken)
