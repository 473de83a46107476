"""The way of one run in docs/architecture.md: every function on it exists, and stops and returns are counted."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pytest

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "architecture.md").read_text()
SECTION = TEXT.split("## The way of one run\n", 1)[1].split("\n## ", 1)[0]
STOP = re.compile(r"^\| `([\w.]+)` \| `([\w.]+)` \| (.+) \|$", re.MULTILINE)
COUNTED = re.compile(r"^(\d+) stops, (\d+) returns\.", re.MULTILINE)
MOST_STOPS, MOST_RETURNS = 16, 6


class Stop(NamedTuple):
    module: str
    function: str
    what: str


def ways() -> dict[str, list[Stop]]:
    parts = SECTION.split("\n### ")[1:]
    return {part.partition("\n")[0]: [Stop(*row) for row in STOP.findall(part)] for part in parts}


def is_return(stops: list[Stop], at: int) -> bool:
    return at > 0 and stops[at - 1].module != stops[at].module in {stop.module for stop in stops[: at - 1]}


def test_there_is_a_way_for_each_part_of_the_life_of_a_run() -> None:
    assert len(ways()) == 5


@pytest.mark.parametrize("stop", [stop for stops in ways().values() for stop in stops], ids=lambda stop: stop.function)
def test_every_function_on_the_way_exists(stop: Stop) -> None:
    module = importlib.import_module(f"coordinator.{stop.module}")
    assert callable(reduce(getattr, stop.function.split("."), module))


@pytest.mark.parametrize("name", ways())
def test_stops_and_returns_are_as_many_as_the_page_says(name: str) -> None:
    stops = ways()[name]
    returns = [at for at in range(len(stops)) if is_return(stops, at)]
    (said,) = COUNTED.findall(SECTION.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0])
    assert (len(stops), len(returns)) == (int(said[0]), int(said[1]))
    assert len(stops) <= MOST_STOPS
    assert len(returns) <= MOST_RETURNS


@pytest.mark.parametrize("name", ways())
def test_each_return_says_why_it_is_one(name: str) -> None:
    stops = ways()[name]
    for at, stop in enumerate(stops):
        assert stop.what.startswith("↩ ") == is_return(stops, at), stop
