"""`--requests 1000` makes the short version of every build into the long one, which writes the committed report."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.openapi.small_fleet import SmallFleet, small_fleet


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requests", type=int, default=0, help="at least so many to each application, and a report")


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallFleet]:
    with small_fleet(tmp_path_factory.mktemp("small-fleet")) as fleet:
        yield fleet
