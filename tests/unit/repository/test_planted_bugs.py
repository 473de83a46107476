"""Each planted bug is a patch to the code as it is now: one that no longer fits would be missed only by a campaign."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.campaign.conduct import PACKAGE, ROOT, digest
from tests.campaign.fleet import planted as fleet
from tests.campaign.planted import BUGS, PATCHES, PlantedBug, planted


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_fits_the_code(bug: PlantedBug, tmp_path: Path) -> None:
    subject = planted(bug, ROOT, tmp_path / "subject")
    assert digest(subject) != digest(ROOT)
    for file in (subject / PACKAGE).rglob("*.py"):
        ast.parse(file.read_text(), file.name)


def test_every_patch_belongs_to_a_bug() -> None:
    assert set(PATCHES) == {bug.patch or bug.name for bug in BUGS}


@pytest.mark.parametrize("bug", fleet.BUGS, ids=lambda bug: f"{bug.name} by {bug.by.rpartition('/')[2]}")
def test_a_planted_bug_fits_the_coordinator(bug: fleet.PlantedBug, tmp_path: Path) -> None:
    subject = fleet.planted(bug, tmp_path / "subject")
    for file in (subject / "coordinator").rglob("*.py"):
        ast.parse(file.read_text(), file.name)


def test_every_patch_of_the_coordinator_belongs_to_a_bug() -> None:
    assert set(fleet.PATCHES) == {f"{fleet.PREFIX}{bug.name}" for bug in fleet.BUGS}
