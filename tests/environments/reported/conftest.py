"""Makes all trials that were asked for at once; each test waits for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import pytest

from tests.environments.journeys import Traveller
from tests.environments.reported.trial import Seen, Trial, TrialRunner

AT_ONCE = 3
See = Callable[[Trial], Seen]


@pytest.fixture(scope="session")
def trial_runner(traveller: Traveller) -> TrialRunner:
    return TrialRunner(traveller)


@pytest.fixture(scope="session")
def see(trial_runner: TrialRunner, request: pytest.FixtureRequest) -> Iterator[See]:
    """Gives what was seen in a trial; raises what went wrong in it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[Trial, Future[Seen]] = {}
        lock = Lock()

        def begin(trial: Trial) -> Future[Seen]:
            with lock:
                if trial not in futures:
                    futures[trial] = pool.submit(trial_runner.make, trial)
                return futures[trial]

        for item in request.session.items:
            for trial in getattr(getattr(item, "callspec", None), "params", {}).values():
                if isinstance(trial, Trial):
                    begin(trial.bare())
                    begin(trial)
        try:
            yield lambda trial: begin(trial).result()
        finally:
            for future in futures.values():
                future.cancel()
