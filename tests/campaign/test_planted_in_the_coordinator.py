"""Each planted bug that the model has to find makes a test of it fail; those for the fleet take a campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.fleet.planted import BUGS, FLEET, PlantedBug, search

BY_THE_MODEL = [bug for bug in BUGS if bug.by != FLEET]


@pytest.mark.parametrize("bug", BY_THE_MODEL, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_the_model(bug: PlantedBug, tmp_path: Path) -> None:
    assert search(bug, tmp_path) is not None
