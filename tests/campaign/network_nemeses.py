"""Part C's troubles between a migration and its server: answers lost, connections reset, silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.campaign.faults import Attack
from tests.campaign.proxy import Proxy, proxy_to
from tests.campaign.stage import Prepared, Stage, some_time_after_it_began


@contextmanager
def _through_proxy(stage: Stage, prepared: Prepared, work: Callable[[Attack, Proxy], None]) -> Iterator[None]:
    port = stage.database.address.port
    with proxy_to(port) as proxy:
        prepared.url = prepared.url.replace(f":{port}/", f":{proxy.port}/")
        prepared.works.append(lambda attack: work(attack, proxy))
        yield


def lost_answer(stage: Stage, prepared: Prepared) -> AbstractContextManager[None]:
    """N5: a COMMIT takes effect, and nobody hears of it."""

    def work(attack: Attack, proxy: Proxy) -> None:
        if some_time_after_it_began(attack):
            proxy.swallow_commits = attack.random.randint(1, 2)
            if attack.until(lambda: proxy.swallowed):
                attack.did("a COMMIT's answer was lost")

    return _through_proxy(stage, prepared, work)


def flaky_network(stage: Stage, prepared: Prepared) -> AbstractContextManager[None]:
    """N5: slow, and reset now and then."""

    def work(attack: Attack, proxy: Proxy) -> None:
        proxy.latency_seconds = attack.random.uniform(0, 0.02)
        for _ in range(attack.random.randint(1, 3)):
            if not some_time_after_it_began(attack, latest=0.8):
                break
            attack.did(f"{proxy.break_all()} connections reset")
        proxy.latency_seconds = 0.0

    return _through_proxy(stage, prepared, work)


def blackout(stage: Stage, prepared: Prepared) -> AbstractContextManager[None]:
    """N6, as far as one machine can: nothing passes, and every connection stays established."""

    def work(attack: Attack, proxy: Proxy) -> None:
        if some_time_after_it_began(attack):
            attack.did("nothing passes")
            proxy.silent = True
            time.sleep(attack.random.uniform(1, 5))
            if attack.random.random() < 0.5:
                proxy.break_all()
            proxy.silent = False

    return _through_proxy(stage, prepared, work)
