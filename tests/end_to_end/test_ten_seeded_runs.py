"""A small fault campaign for every commit: ten runs on one fleet with two coordinators, each decided by its seed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.campaign.fleet.ground import CampaignGround, copied, standing_campaign
from tests.campaign.fleet.runs import carry_out
from tests.campaign.fleet.spec import KILLS, MIXED, draw

SEED = 41
RUNS = [*((KILLS, number) for number in (1, 2, 3, 5, 8, 12)), *((MIXED, number) for number in (1, 2, 3, 4))]

pytestmark = pytest.mark.timeout(900)  # on a busy machine


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CampaignGround]:
    folder = tmp_path_factory.mktemp("campaign")
    with standing_campaign(folder, copied(folder / "subject"), replica=True) as campaign:
        yield campaign


@pytest.mark.parametrize(("part", "number"), RUNS, ids=[str(draw(part, number, SEED)) for part, number in RUNS])
def test_a_fleet_that_is_hurt_ends_as_it_should(campaign: CampaignGround, part: str, number: int) -> None:
    outcome = carry_out(draw(part, number, SEED), campaign)
    assert outcome.violations == []
    assert outcome.own_troubles == []
