"""The audit goes away in the middle of a run: nothing new starts, nothing is lost, and nothing is recorded twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from scripts.infrastructure.render import AUDIT
from tests.end_to_end.ground import TABLES, Ground, Killed
from tests.end_to_end.slow_step import require_all_applied_once, started_slow_step

AWAY_SECONDS = 3
OWED = "SELECT count(*) FROM migration_sidecar.journal WHERE relayed_at IS NULL AND kind <> 'started'"
ORDER = "die-instead-of-answering"
DIES_ONCE = f"""

import os, pathlib, signal


@app.middleware("http")
async def die_instead_of_answering(request, call_next):
    answer, order = await call_next(request), pathlib.Path("{ORDER}")
    if request.method == "POST" and answer.status_code == 200 and order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
"""


def test_the_audit_is_killed_and_away_for_a_while(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    audit = Killed.now(slow_product.application(AUDIT), log)
    require_nothing_new_starts(slow_product)
    audit.again()
    require_all_applied_once(slow_product, request)


def test_the_audits_daprd_is_killed_and_away_for_a_while(slow_product: Ground, log: Path) -> None:
    request = started_slow_step(slow_product)
    daprd = Killed.now(slow_product.daprd(AUDIT), log)
    require_nothing_new_starts(slow_product)
    daprd.again()
    require_all_applied_once(slow_product, request)


def test_the_audit_dies_after_it_has_stored_and_before_it_says_so(slow_product: Ground, log: Path) -> None:
    with dying_once(slow_product, log) as order:
        request = started_slow_step(slow_product)
        process = slow_product.application(AUDIT)
        audit = Killed.soon(process, log)
        order.touch()
        assert psutil.wait_procs([process], timeout=30)[1] == []
        assert not order.exists()
        audit.again()
        require_all_applied_once(slow_product, request)
        require_nothing_owed(slow_product)


def require_nothing_owed(ground: Ground) -> None:
    """Who was not answered sends again, and takes the answer that it is there already."""
    deadline = time.monotonic() + 30
    while (owed := sum(ground.query(name, OWED)[0][0] for name in TABLES)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert owed == 0


def require_nothing_new_starts(ground: Ground) -> None:
    """The step that had begun ends; the one after it waits, and the fleet view says for whom."""
    deadline = time.monotonic() + 30
    while (state := audit_state(ground)) != "away" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert state == "away"
    time.sleep(AWAY_SECONDS)
    assert ground.revision("cds_product") == "slow"
    assert ground.tables("relationship_db") == set()


def audit_state(ground: Ground) -> str:
    return str(ground.ask("GET", "/fleet").json()["audit"]["state"])


@contextmanager
def dying_once(ground: Ground, log: Path) -> Iterator[Path]:
    """An audit that, once there is the file that is handed out, dies instead of answering."""
    source = ground.sources / "services" / "cas_service" / "app.py"
    kept = source.read_text()
    source.write_text(kept + DIES_ONCE)
    try:
        Killed.now(ground.application(AUDIT), log).again()
        ground.fleet.wait()
        yield ground.sources / ORDER
    finally:
        source.write_text(kept)
