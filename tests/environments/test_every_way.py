"""Every environment of this folder, by every way: the same database as bare Alembic leaves, up and down."""

from __future__ import annotations

import os

import pytest

from tests.environments import ground
from tests.environments.conftest import Arrive
from tests.environments.journeys import Journey
from tests.environments.styles import STYLES

OLDEST_ALEMBIC = (1, 7)
SERVERS = ("18", "16", *(["other"] if ground.installed() else []))
# By the command line on each of them; by every way on 18, and on those that ALL_WAYS_ON names, like "16 other".
ALL_WAYS_ON = {"18", *os.environ.get("ALL_WAYS_ON", "").split()}
WAYS = ("command-line", "endpoint", "newest-python", "oldest-python")
JOURNEYS = [
    Journey(style.name, way, server)
    for server in SERVERS
    for style in STYLES
    for way in (WAYS if server in ALL_WAYS_ON else WAYS[:1])
    if way != "oldest-python" or style.needs_alembic == OLDEST_ALEMBIC
]


@pytest.mark.parametrize("journey", JOURNEYS, ids=str)
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
