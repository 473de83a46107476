"""One run of the campaign on the standing fleet, from its seed to its outcome."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.fleet.checks import is_hit, judged, recovery_seconds
from tests.campaign.fleet.course import Course
from tests.campaign.fleet.ground import CampaignGround
from tests.campaign.fleet.spec import FleetSpec


@dataclass
class Outcome:
    """What came of a run; travels as JSON."""

    part: str
    number: int
    spec: dict[str, Any]
    told: str
    hit: bool = False
    states: dict[str, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    retried: int = 0
    unreachable: int = 0  # of them because a service was away while it was planned
    violations: list[str] = field(default_factory=list)
    own_troubles: list[str] = field(default_factory=list)  # the campaign's: what it found then is no judgement
    recovery_seconds: float | None = None
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)  # the records, kept where something is wrong

    def document(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in ([], {}, None)}


def carry_out(spec: FleetSpec, campaign: CampaignGround) -> Outcome:
    began, outcome = time.monotonic(), Outcome(spec.part, spec.number, spec.document(), str(spec))
    course = Course(campaign, spec)
    try:
        course.carry_out()
        campaign.ready()
        outcome.violations = list(dict.fromkeys(judged(course)))
        outcome.hit = is_hit(course)
    except InfrastructureError as error:
        outcome.own_troubles.append(str(error))
    finally:
        _let_go(course)
    outcome.states = {name: run["state"] for name, run in course.records.items()}
    outcome.generations = {
        name: run.get("generation", 0) for name, run in course.records.items() if run.get("generation", 0) > 1
    }
    outcome.faults = [{"what": each.what, "at": each.at, "healed_at": each.healed_at} for each in course.placed]
    outcome.verbs = [f"{name} {verb}" for name, verb, _ in course.client.given]
    outcome.retried, outcome.unreachable = len(course.before_retry), course.unreachable
    outcome.recovery_seconds = recovery_seconds(course)
    if outcome.violations:
        outcome.history = [*course.before_retry.values(), *course.records.values()]
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def _let_go(course: Course) -> None:
    """Nothing stays stopped or broken for the next run."""
    for each in course.placed:
        if each.healed_at is None:
            with suppress(InfrastructureError):  # told already; the next fleet is a new one
                each.heal()
    course.client.close()
    for history in course.campaign.histories.values():
        history.repair()
