"""Part D: several replicas of one service start at the same moment; each wants to migrate."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from random import Random

import httpx

from tests.campaign import checker
from tests.campaign.corpus import CONCURRENTLY, REVISIONS, Corpus, cleared
from tests.campaign.course import Course
from tests.campaign.ground import Database, Ground, GroundFailed
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.sampler import Sampler
from tests.campaign.service import Service, Zygote

READY_SECONDS = 60.0
SETTLED_SECONDS = 15.0
EXISTING = REVISIONS[1]
# Every race runs this revision. It keeps the lock for so long, so that the sampler sees who holds it, and so that who
# wants it waits already when it builds its index: a wait within a statement would then be a deadlock.
WAITED_FOR = (CONCURRENTLY, 0.8)
CANCELLED = "canceling statement due to user request"
BY_HAND = "upgrade by hand"  # replicas wait for the operation of the first; who comes by hand waits for the lock


def race(spec: Spec, ground: Ground, zygote: Zygote) -> Outcome:
    """3 to 10 replicas; every other race begins with a database that has two revisions already."""
    began, outcome, random = time.monotonic(), Outcome(asdict(spec)), Random(spec.seed)
    folder = cleared(ground.folder / "race")
    replicas = spec.replicas or random.randint(3, 10)
    with ground.database() as database:
        log = checker.ServerLog.from_now(ground.log, database)
        corpus = replace(Corpus.drawn(random, spec.form, stumbles=False), longer=WAITED_FOR)
        outcome.spec["form"] = corpus.form
        ini = corpus.write(folder, database.url, {})
        services = [Service(zygote, ini, folder / f"replica-{number}.log") for number in range(replicas)]
        try:
            if spec.number % 2:
                _migrate_to(EXISTING, services[0])
            with Sampler(database, services) as sampler:
                _start_at_once(services, random)
                by_hand = _upgrade_by_hand(services[0]) if BY_HAND in spec.nemeses else None
                outcome.recovery_seconds = _wait_until_ready(services, outcome)
                if by_hand and (code := zygote.code(by_hand, READY_SECONDS)) != 0:
                    outcome.violations.append(f"D: the upgrade by hand ended with {code}")
                _wait_until_settled(database)
                ending = datetime.now(UTC)
                ended = [each.stop() for each in services]
            _judge(outcome, database, ground, log, sampler, services)
            outcome.violations += said_by_the_server(log.lines(), ending)
            outcome.violations += [] if all(ended) else ["I7: a replica did not end within ten seconds of SIGTERM"]
            outcome.violations += checker.check_nothing_is_left(database)
        except GroundFailed as error:
            outcome.own_troubles.append(str(error))
        except Exception as error:
            outcome.violations.append(f"the race broke off: {type(error).__name__}: {error}")
        finally:
            for each in services:
                each.stop()
        if outcome.violations:
            outcome.server_log = log.lines()[-200:]
    outcome.hit = True
    outcome.set_aside_if_not_judged()
    outcome.faults = [{"what": f"{replicas} replicas, {'existing' if spec.number % 2 else 'fresh'}"}]
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


def _migrate_to(revision: str, service: Service) -> None:
    argv = ["upgrade", revision, "--config", str(service.ini)]
    pid = service.zygote.start(argv, {}, service.log.with_name("before.log"))
    if service.zygote.code(pid, timeout=60) != 0:
        raise RuntimeError(f"upgrade to {revision} failed before the race")


def _upgrade_by_hand(service: Service) -> int:
    argv = ["upgrade", "--config", str(service.ini)]
    return service.zygote.start(argv, {}, service.log.with_name("by-hand.log"))


def _start_at_once(services: list[Service], random: Random) -> None:
    for each in services:
        each.start_unseen({"MIGRATE_ON_STARTUP": "apply"})
        time.sleep(random.choice((0.0, 0.0, random.uniform(0, 0.3))))


def _wait_until_ready(services: list[Service], outcome: Outcome) -> float:
    began, waiting = time.monotonic(), list(services)
    while waiting and time.monotonic() - began < READY_SECONDS:
        waiting = [each for each in waiting if not _ready(each)]
        outcome.violations += [f"D: a replica ended with {each.code()}" for each in waiting if not each.alive]
        waiting = [each for each in waiting if each.alive]
        time.sleep(0.05)
    outcome.violations += [f"D: {each.log.name} is not ready after {READY_SECONDS:.0f} s" for each in waiting]
    return round(time.monotonic() - began, 3)


def _wait_until_settled(database: Database) -> None:
    """A replica is ready as soon as another has migrated; what it asked for itself may still wait for its turn."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline and _unfinished(database):
        time.sleep(0.05)


def _unfinished(database: Database) -> list[tuple[str, str]]:
    return database.rows("SELECT operation_id, state FROM migration_sidecar.operations WHERE state <> 'succeeded'")


def _ready(service: Service) -> bool:
    try:
        return httpx.get(service.url + "/readyz", timeout=10.0).status_code == 200
    except httpx.HTTPError:
        return False


def _judge(
    outcome: Outcome,
    database: Database,
    ground: Ground,
    log: checker.ServerLog,
    sampler: Sampler,
    services: list[Service],
) -> None:
    outcome.violations += checker.check_at_the_end(Course(services[0], database, "race"), database, ground)
    outcome.violations += [*checker.check_alone(log, sampler), *checker.check_own_process(sampler)]
    troubles = database.rows(
        "SELECT kind, detail::text FROM migration_sidecar.journal WHERE kind IN ('failed', 'refused', 'cancelled')"
    )
    outcome.violations += [f"D: a replica wrote {kind}: {detail[:300]}" for kind, detail in troubles]
    outcome.violations += [f"D: operation {name} is {state}" for name, state in _unfinished(database)]


def said_by_the_server(lines: list[str], ending: datetime) -> list[str]:
    """The errors in a server's log. A replica that is told to end, at `ending`, cancels what it is just asking.

    The server stamps a line with UTC, to the millisecond, and has the clock of this machine.
    """
    ending -= timedelta(microseconds=ending.microsecond % 1000)
    errors = [line for line in lines if " ERROR: " in line or "FATAL" in line]
    return [f"D: the server says {line}" for line in errors if not (CANCELLED in line and _stamp(line) >= ending)]


def _stamp(line: str) -> datetime:
    day, time_of_day, *_ = line.split(" ")
    return datetime.fromisoformat(f"{day}T{time_of_day}+00:00")
