"""An env.py that works only in the program that hands its connection over: bare Alembic cannot run it, nor can we."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import snapshot
from tests.environments.journeys import Traveller
from tests.environments.styles import Style
from tests.environments.ways import DidNotMigrate, Place
from tests.integration.databases import fresh_database

STYLE = Style("handed_over", "h1", variables=(("APPLICATION_DATABASE_URL", "{url}"),))


@pytest.fixture
def place(traveller: Traveller, tmp_path: Path) -> Iterator[Place]:
    with fresh_database(traveller.servers["18"]()) as database:
        config = STYLE.place(tmp_path, database.address.url(database.name))
        yield Place(STYLE, config, database, traveller.nurseries.here())


def by_its_own_program(place: Place, *words: str) -> None:
    subprocess.run([sys.executable, "migrate.py", *words], cwd=place.config.parent, env=place.environment(), check=True)


def test_its_own_program_takes_it_up_and_down(place: Place) -> None:
    before = snapshot.take(place.database)
    by_its_own_program(place, "upgrade", "heads")
    assert snapshot.take(place.database).versions == {"public.alembic_version": ["h3"]}
    by_its_own_program(place, "downgrade", "base")
    assert snapshot.take(place.database).row_counts == before.row_counts


def test_bare_alembic_cannot_run_it(place: Place) -> None:
    with pytest.raises(DidNotMigrate, match="KeyError: 'connection'"):
        place.run("alembic", "upgrade", "heads")


@pytest.mark.parametrize(
    ("takes", "words"),
    [
        ('["connection"]', ["upgrade", "heads"]),
        ('["connection"]', ["downgrade", "base"]),
        ('.get("connection")', ["upgrade", "heads", "--database-url", "{url}"]),
    ],
)
def test_it_is_told_in_one_sentence_what_is_missing_and_nothing_is_touched(
    place: Place, takes: str, words: list[str]
) -> None:
    env = place.config.parent / "migrations" / "env.py"
    env.write_text(env.read_text().replace('["connection"]', takes))
    before = snapshot.take(place.database)
    given = [word.format(url=place.database.url) for word in words]
    with pytest.raises(DidNotMigrate) as refused:
        place.run("migration-sidecar", *given, *place.options("alembic"))
    said = " ".join(str(refused.value).split())
    assert 'takes its connection from config.attributes["connection"]' in said
    assert "Let env.py connect by itself where it is not given one" in said
    assert snapshot.take(place.database) == before
