"""Part E: a hundred operations on one service, which must not grow, and must not keep files or sessions open."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import psutil

from tests.campaign import checker
from tests.campaign.corpus import EACH, Corpus, cleared
from tests.campaign.ground import Database, Ground
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.sampler import Sampler
from tests.campaign.service import Service, Zygote

OPERATIONS = 100
WARM_AFTER = 10  # by then everything that is loaded once is loaded
MOST_GROWTH = 1.2
OPERATION_SECONDS = 30.0
FIRST, LAST = "s1", "s3"
_REVISION = """\
from alembic import op

revision = {revision!r}
down_revision = {below!r}


def upgrade():
    op.execute("CREATE TABLE t_{revision} AS SELECT generate_series(1, 1000) AS id")


def downgrade():
    op.execute("DROP TABLE t_{revision}")
"""


@dataclass(frozen=True)
class Footprint:
    """What one service and its forkserver take."""

    rss_bytes: int
    descriptors: int
    sessions: int

    @classmethod
    def of(cls, service: Service, database: Database) -> Footprint:
        processes = [psutil.Process(service.pid), psutil.Process(service.forkserver())]
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'migrator'"
        return cls(
            sum(each.memory_info().rss for each in processes),
            sum(each.num_fds() for each in processes),
            database.rows(sessions)[0][0],
        )


def soak(spec: Spec, ground: Ground, zygote: Zygote) -> Outcome:
    """Up and down again by turns; every tenth operation is sent twice."""
    began, outcome = time.monotonic(), Outcome(asdict(spec))
    folder = cleared(ground.folder / "soak")
    with ground.database() as database:
        log = checker.ServerLog.from_now(ground.log, database)
        ini = Corpus.drawn(Random(spec.seed), EACH).write(folder, database.url, {"endpoint_downgrades": "true"})
        for file in (folder / "alembic" / "versions").glob("*.py"):
            file.unlink()
        for revision, below in (("s1", None), ("s2", "s1"), ("s3", "s2")):
            file = folder / "alembic" / "versions" / f"{revision}.py"
            file.write_text(_REVISION.format(revision=revision, below=below))
        service = Service(zygote, ini, folder / "service.log", {"MIGRATE_ON_STARTUP": "off"})
        try:
            service.start()
            with Sampler(database, [service]) as sampler:
                _operate(service, database, outcome)
                outcome.violations += [] if service.stop() else ["I7: it did not end within ten seconds of SIGTERM"]
            outcome.violations += [*checker.check_alone(log, sampler), *checker.check_nothing_is_left(database)]
            outcome.violations += [f"I14: live health failed at {at}" for at in service.failed_looks]
            outcome.slowest_health_seconds = round(service.slowest_look, 3)
            outcome.looks_not_judged = service.starved_looks
        except Exception as error:
            outcome.violations.append(f"the soak broke off: {type(error).__name__}: {error}")
        finally:
            service.stop()
    outcome.hit = True
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


def _operate(service: Service, database: Database, outcome: Outcome) -> None:
    early = None
    for number in range(1, OPERATIONS + 1):
        body = {"operation_id": f"soak-{number}", "requested_by": "campaign", "target": LAST, "action": "upgrade"}
        body |= {} if number % 2 else {"target": FIRST, "action": "downgrade"}
        for _ in range(2 if number % 10 == 0 else 1):
            service.ask("POST", "/migrations/operations", body)
        record = _ended(service, f"soak-{number}")
        if record.get("state") != "succeeded":
            outcome.violations.append(f"E: soak-{number} is {record.get('state')}: {record.get('error')}")
        if number == WARM_AFTER:
            early = Footprint.of(service, database)
    late = Footprint.of(service, database)
    assert early is not None
    outcome.faults = [{"what": f"after {WARM_AFTER}", **asdict(early)}, {"what": f"after {OPERATIONS}", **asdict(late)}]
    if late.rss_bytes > early.rss_bytes * MOST_GROWTH:
        outcome.violations.append(f"I14: memory grew from {early.rss_bytes} to {late.rss_bytes} bytes")
    if late.descriptors > early.descriptors + 2 or late.sessions > early.sessions + 1:
        outcome.violations.append(f"I14: descriptors or sessions were kept: {early} became {late}")


def _ended(service: Service, operation_id: str) -> dict[str, Any]:
    record: dict[str, Any] = {}
    deadline = time.monotonic() + OPERATION_SECONDS
    while time.monotonic() < deadline and record.get("state") not in ("succeeded", "failed", "needs_attention"):
        record = service.ask("GET", f"/migrations/operations/{operation_id}?wait_seconds=5").json()
    return record
