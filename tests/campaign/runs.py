"""One run: a fresh database, a real service, a fault, healing, and the checker's findings."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from shutil import rmtree

from tests.campaign import checker
from tests.campaign.corpus import ONE, Corpus, cleared
from tests.campaign.course import Course
from tests.campaign.faults import Attack, HitLog, continue_the_stopped, random_kill, watch_hits
from tests.campaign.ground import Database, Ground, GroundFailed
from tests.campaign.nemeses import ALONE, NEMESES
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.sampler import Sampler
from tests.campaign.service import Service, Zygote
from tests.campaign.stage import Prepared, Stage

# A stopped migrator is fenced by the server within this time, so that a run need not wait for production's minute.
GUARDS = {"idle_in_transaction_session_timeout": "2s", "idle_session_timeout": "3s"}

LOCK_FREE_SECONDS = 5.0
HIDES_THE_END = {"lock taken", "pause", "blackout"}


@dataclass
class Scene:
    """The parts of one run."""

    ground: Ground
    database: Database
    zygote: Zygote
    folder: Path
    ini: Path
    spec: Spec
    random: Random
    corpus: Corpus

    def service(self, environment: dict[str, str]) -> Service:
        return Service(self.zygote, self.ini, self.folder / "service.log", {"MIGRATE_ON_STARTUP": "off", **environment})


def carry_out(spec: Spec, ground: Ground, zygote: Zygote) -> Outcome:
    """What the run did and what cannot be carried out is a violation; the campaign's own troubles are told apart."""
    began, outcome = time.monotonic(), Outcome(asdict(spec))
    random = Random(spec.seed)
    folder = cleared(ground.folder / f"run-{spec.seed}")
    with ground.database() as database:
        log = checker.ServerLog.from_now(ground.log, database)
        try:
            corpus = Corpus.drawn(random, spec.form, **({"template": "generic"} if spec.action == "raise" else {}))
            outcome.spec["form"] = corpus.form
            with ExitStack() as stack:
                prepared = Prepared(database.url)
                for name in spec.nemeses:
                    stack.enter_context({**NEMESES, **ALONE}[name](Stage(ground, database, folder, random), prepared))
                corpus = replace(corpus, longer=prepared.longer, loses_lock=prepared.loses_lock)
                ini = corpus.write(folder, prepared.url, GUARDS)
                _faulted(Scene(ground, database, zygote, folder, ini, spec, random, corpus), prepared, outcome, log)
        except GroundFailed as error:
            outcome.own_troubles.append(str(error))
        except Exception as error:
            outcome.violations.append(f"the run broke off: {type(error).__name__}: {error}")
        outcome.set_aside_if_not_judged()
        if outcome.violations or outcome.set_aside:
            outcome.server_log = log.lines()[-200:]
    if not outcome.violations and outcome.judged:
        rmtree(folder, ignore_errors=True)
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


def _faulted(scene: Scene, prepared: Prepared, outcome: Outcome, log: checker.ServerLog) -> None:
    spec, hits = scene.spec, HitLog(scene.folder / "hits")
    service = scene.service({**prepared.environment, **_failpoints(scene, hits)})
    course = Course(service, scene.database, f"{spec.part}{spec.number}")
    if spec.action != "stop" and "kill in a statement" not in spec.nemeses:  # there a rival may be at work
        course.between = lambda ended: checker.check_between(ended, scene.database, scene.ground, scene.corpus)
    service.start()
    try:
        with Sampler(scene.database, [service]) as sampler:
            attack = Attack(service, scene.database, scene.random)
            attack.begin(prepared.works or [_work(scene, hits)])
            course.to_head()
            attack.end()
            outcome.violations += attack.rivals_ended()
            service.heal()
            outcome.own_troubles += attack.broken
            _check(scene, course, outcome)
            in_time = service.stop()
            _measure(outcome, course, attack, sampler)
        outcome.violations += [] if in_time else ["I7: the service did not end within ten seconds of SIGTERM"]
        outcome.violations += checker.check_nothing_is_left(scene.database)
        outcome.violations += [*checker.check_alone(log, sampler), *checker.check_own_process(sampler)]
        outcome.violations += [f"I14: live health failed at {at}" for at in service.failed_looks]
        outcome.violations += checker.check_secrets(_texts(scene, course, sampler, log))
    finally:
        service.stop()


def _failpoints(scene: Scene, hits: HitLog) -> dict[str, str]:
    spec = scene.spec
    if not spec.failpoint:
        return {}
    nth = spec.nth or scene.random.randint(1, _arrivals(spec.failpoint, scene.corpus.form))
    asked = f"{spec.failpoint}:{spec.action}@{nth}"
    return {"MIGRATION_TEST": "1", "MIGRATION_FAILPOINTS": asked, "MIGRATION_FAILPOINTS_LOG": str(hits.file)}


def _arrivals(failpoint: str, form: str) -> int:
    """How often the place is surely passed before the first stumble of the corpus, or at all."""
    once = {"attempt_written", "lock_taken", "autocommit_begins", "all_done"}
    if failpoint in once or (failpoint == "commit_sent" and form == ONE):
        return 1
    return {"autocommit_inside": 2, "between_statements": 3}.get(failpoint, 4)


def _work(scene: Scene, hits: HitLog) -> Callable[[Attack], None]:
    if not scene.spec.failpoint:
        return random_kill(latest=1.0)
    if scene.spec.action == "stop":
        return continue_the_stopped(hits, after=scene.random.uniform(2.5, 4.0))
    return watch_hits(hits)


def _check(scene: Scene, course: Course, outcome: Outcome) -> None:
    outcome.violations += course.problems
    outcome.violations += checker.check_at_the_end(course, scene.database, scene.ground)
    outcome.states = [each.state for each in course.operations]
    outcome.errors = [each.error for each in course.operations if each.error]
    outcome.violations += checker.check_reasons(course, scene.spec)
    outcome.attempts = [int(each.record.get("attempts", 0)) for each in course.operations]
    outcome.repeated = course.repeated


def _measure(outcome: Outcome, course: Course, attack: Attack, sampler: Sampler) -> None:
    outcome.faults = [asdict(each) for each in attack.faults]
    outcome.slowest_health_seconds = round(attack.service.slowest_look, 3)
    outcome.looks_not_judged = attack.service.starved_looks
    flown = [(fault, op) for fault in attack.faults for op in course.operations if op.began <= fault.at < op.ended]
    outcome.hit = bool(flown)
    outcome.recovery_seconds = max((round(op.ended - fault.at, 3) for fault, op in flown), default=None)
    _measure_lock(outcome, attack, sampler)


def _measure_lock(outcome: Outcome, attack: Attack, sampler: Sampler) -> None:
    """Where nobody but the migrator can have the lock, and nothing keeps the server from hearing that it is gone."""
    if HIDES_THE_END & set(outcome.spec["nemeses"]):
        return
    counted = [each for each in attack.faults if each.ends_sessions or outcome.spec["action"] == "stop"]
    freed = [sampler.freed_after(each.at, surely_held=each.holding) for each in counted]
    outcome.lock_free_seconds = max((round(each, 3) for each in freed if each is not None), default=None)
    if any(each.holding and found is None for each, found in zip(counted, freed, strict=True)):
        outcome.violations.append("I7: nobody saw when the lock was free")
    if outcome.spec["action"] != "stop" and (outcome.lock_free_seconds or 0) > LOCK_FREE_SECONDS:
        outcome.violations.append(f"I7: the lock was free only {outcome.lock_free_seconds} s after its holder's end")


def _texts(scene: Scene, course: Course, sampler: Sampler, log: checker.ServerLog) -> dict[str, str]:
    texts = {"the journal": checker.journal_text(scene.database), "an answer": "\n".join(course.service.bodies)}
    for name in ("service.log", "rival.log", "hits"):
        with suppress(FileNotFoundError):
            texts[name] = (scene.folder / name).read_text(errors="replace")
    return {**texts, "a command line": "\n".join(sampler.command_lines), "the server's log": "\n".join(log.lines())}
