"""A small campaign for every commit: one kill per failpoint, ten races, and planted bugs that must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from migration_sidecar.protocol.failpoint_spec import NAMES
from tests.campaign.conduct import conduct, copied
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.planted import BUGS, PlantedBug, search
from tests.campaign.schedule import Quota, Size, quotas

SEED = 41
JOBS = 2
RACES = 10
QUICK = ("M5", "M6")

pytestmark = pytest.mark.timeout(900)  # on a busy machine; it takes two minutes on two quiet cores


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Outcome]]:
    """By the name of their quota."""
    folder = tmp_path_factory.mktemp("campaign")
    kills = quotas(Size(each=1, parts=("B",), actions=("kill",)), SEED)
    races = Quota("D", RACES, lambda number, random: Spec("D", replicas=random.randint(3, 4)), SEED)
    found: dict[str, list[Outcome]] = {}

    def told(outcome: Outcome) -> None:
        found.setdefault(outcome.spec["quota"], []).append(outcome)

    conduct([*kills, races], copied(folder / "subject"), folder / "workers", jobs=JOBS, told=told)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_that_is_killed_there_ends_well(name: str, outcomes: dict[str, list[Outcome]]) -> None:
    runs = outcomes[f"B {name} kill"]
    assert [violation for run in runs for violation in run.violations] == []
    assert any(run.hit for run in runs)


def test_replicas_that_start_together_migrate_once_and_none_fails(outcomes: dict[str, list[Outcome]]) -> None:
    assert [violation for run in outcomes["D"] for violation in run.violations] == []
    assert len(outcomes["D"]) == RACES


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name in QUICK], ids=QUICK)
def test_a_planted_bug_is_found(bug: PlantedBug, tmp_path: Path) -> None:
    found = search(bug, copied(tmp_path / "sound"), tmp_path, SEED)
    assert found.violation is not None
