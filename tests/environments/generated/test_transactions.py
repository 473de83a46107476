"""env.py decides where transactions begin and end: generated environments end as with bare Alembic, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.environments.generated.environment import Generated
from tests.environments.generated.sides import Sides, disagreement
from tests.environments.generated.strategies import environments
from tests.environments.generated.tally import Tally
from tests.environments.journeys import Traveller


@pytest.fixture(scope="module")
def sides(traveller: Traveller) -> Iterator[Sides]:
    drivers = traveller.interpreters["drivers"]
    made = Sides(traveller.servers["18"](), traveller.nurseries, drivers)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Tally | None:
    path = request.config.getoption("--report", None)
    return Tally(Path(path)) if path else None


@pytest.mark.timeout(0)  # to make a failing example small takes its time
def test_what_is_left_is_what_bare_alembic_leaves(sides: Sides, examples: int, tally: Tally | None) -> None:
    @settings(
        max_examples=examples,
        derandomize=tally is None,  # the same ones for everybody; a run with --report looks for new ones
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(environments())
    def check(example: Generated) -> None:
        note(str(example))
        compared = sides.compare(example)
        found = disagreement(example, compared)
        if tally is not None:  # then all are tried, and told at the end
            tally.note(example, compared, found)
            return
        for who, ended in (("bare Alembic", compared.bare), ("migration-sidecar", compared.ours)):
            note(f"{who}: " + "\n".join(f"{each.step} {each.done}: {each.said[-700:]}" for each in ended))
        assert not found, found

    check()
    assert tally is None or not tally.found, tally.text()
