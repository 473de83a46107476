"""The bench of the coordinator carries a run out to its end with the code of today."""

import pytest

from bench.coordinator.one_run import measure


@pytest.mark.parametrize("services", [3, 40])
async def test_a_simulated_fleet_is_migrated_and_what_it_cost_is_counted(services: int) -> None:
    finding = await measure(services, 2)
    assert (finding.services, finding.turns) == (services, 1)
    assert finding.writes_per_step >= 1
    assert 0 < finding.largest_document < 20_000
