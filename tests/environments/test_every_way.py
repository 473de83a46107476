"""Every environment of this folder, by every way: the same database as bare Alembic leaves, up and down."""

from __future__ import annotations

import pytest

from tests.environments import ground
from tests.environments.conftest import Arrive
from tests.environments.journeys import Journey
from tests.environments.styles import STYLES

OLDEST_ALEMBIC = (1, 7)
ON_18 = [
    Journey(style.name, way, "18")
    for style in STYLES
    for way in ("command-line", "endpoint", "newest-python", "oldest-python")
    if way != "oldest-python" or style.needs_alembic == OLDEST_ALEMBIC
]
ON_OTHERS = [
    Journey(style.name, "command-line", server)
    for server in ("16", *(["other"] if ground.installed() else []))
    for style in STYLES
]


@pytest.mark.parametrize("journey", ON_18 + ON_OTHERS, ids=str)
def test_the_database_is_the_one_that_bare_alembic_leaves(arrive: Arrive, journey: Journey) -> None:
    bare = arrive(Journey(journey.style, "bare", journey.server))
    ours = arrive(journey)
    for where, seen in ours.items():
        assert seen == bare[where], where


@pytest.mark.parametrize("journey", [Journey(style.name, "bare", "18") for style in STYLES], ids=str)
def test_every_environment_makes_something_and_takes_it_away_again(arrive: Arrive, journey: Journey) -> None:
    """Otherwise two equal databases would say nothing."""
    views = arrive(journey)
    assert views["top"].schema != views["floor"].schema
    assert len(views["floor"].schema) > len(views["bottom"].schema)
    assert views["top"].versions != views["floor"].versions
    assert any(views["floor"].versions.values())
    assert not any(rows for table, rows in views["bottom"].versions.items() if not table.startswith("core."))
