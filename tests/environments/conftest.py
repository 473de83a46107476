"""Starts all journeys that were asked for at once; each test waits for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.environments import ground
from tests.environments.journeys import Journey, Once, Traveller, Views

AT_ONCE = 3
EXAMPLES = 25
Arrive = Callable[[Journey], Views]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, default=EXAMPLES, help="how many environments are generated")
    parser.addoption("--report", help="a file that tells what was generated and found; then no example ends the run")


@pytest.fixture(scope="session")
def examples(request: pytest.FixtureRequest) -> int:
    # The option is there only if a folder of these was named to pytest.
    return int(request.config.getoption("--examples", EXAMPLES))


@pytest.fixture(scope="session")
def traveller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traveller]:
    folder = tmp_path_factory.mktemp("environments")
    with ExitStack() as stack:

        def server(name: str, programs: Callable[[], Path | None]) -> Once:
            return Once(lambda: stack.enter_context(ground.server(folder / f"server-{name}", programs())))

        servers = {
            "18": server("18", lambda: None),
            "16": server("16", lambda: ground.postgres_16(folder / "wheel-16")),
            "other": server("other", lambda: next(iter(ground.installed().values()))),
        }
        traveller = Traveller(folder, servers)
        yield traveller
        traveller.nurseries.close()


@pytest.fixture(scope="session")
def arrive(traveller: Traveller, request: pytest.FixtureRequest) -> Iterator[Arrive]:
    """Gives what was seen on a journey; raises what went wrong on it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[Journey, Future[Views]] = {}

        def begin(journey: Journey) -> Future[Views]:
            if journey not in futures:
                futures[journey] = pool.submit(traveller.travel, journey)
            return futures[journey]

        for item in request.session.items:
            for journey in getattr(getattr(item, "callspec", None), "params", {}).values():
                if isinstance(journey, Journey):
                    begin(Journey(journey.style, "bare", journey.server))
                    begin(journey)
        try:
            yield lambda journey: begin(journey).result()
        finally:
            for future in futures.values():
                future.cancel()
