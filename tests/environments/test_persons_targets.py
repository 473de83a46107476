"""Targets as a person writes them, a head of a branch, a number of steps, the beginning of an id: as bare Alembic."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import snapshot
from tests.environments.journeys import Traveller
from tests.environments.styles import BY_NAME
from tests.environments.ways import Place
from tests.integration.databases import fresh_database

STEPS = {
    "alembic_generic": ("upgrade +1", "upgrade 27c6", "downgrade -1", "upgrade head"),
    "neutron": ("upgrade expand@head", "upgrade contract@head", "downgrade expand@-1", "upgrade heads"),
}


@pytest.mark.parametrize("name", STEPS)
def test_each_step_leaves_what_bare_alembic_leaves(name: str, traveller: Traveller, tmp_path: Path) -> None:
    style, server, nursery = BY_NAME[name], traveller.servers["18"](), traveller.nurseries.here()
    with fresh_database(server) as theirs, fresh_database(server) as ours:
        bare, guarded = (
            Place(style, style.place(tmp_path / at.name, at.address.url(at.name)), at, nursery) for at in (theirs, ours)
        )
        before = snapshot.take(theirs)
        for step in STEPS[name]:
            bare.run("alembic", "-c", bare.config.name, *step.split())
            guarded.run("migration-sidecar", *step.split(), *guarded.options("alembic"))
            after = snapshot.take(theirs)
            assert before != after == snapshot.take(ours), step
            before = after
