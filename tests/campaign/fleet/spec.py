"""What one run of the campaign is: drawn from its seed alone, so that the same seed replays it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from scripts.infrastructure.fleet import COORDINATOR
from scripts.infrastructure.render import AUDIT
from tests.campaign.fleet.ground import REPLICA, SERVICES

KILLS, MIXED = "K", "X"
WORKING = "the working service"  # whichever has a step under way when the fault comes
# Every process of the fleet and of what it stands on.
KILLED = (
    COORDINATOR,
    f"{COORDINATOR} daprd",
    REPLICA,
    f"{REPLICA} daprd",
    WORKING,
    f"{WORKING} daprd",
    f"{WORKING} migration process",
    AUDIT,
    f"{AUDIT} daprd",
    "placement",
    "scheduler",
    "redis",
    "postgres",
)
STOPPED = tuple(place for place in KILLED if place not in ("postgres", f"{WORKING} migration process"))
WORKFLOW = ("suspend", "terminate", "stall", "purge")
STALLED_SECONDS = 100.0  # long enough for the coordinator to replace the workflow while it is stalled
OTHERS = ("rolling restart", "by hand", "file changed")


@dataclass(frozen=True)
class Fault:
    """`kind` is kill, stop, workflow or other; `seconds` from the first step under way, `away` until it is healed."""

    kind: str
    what: str
    seconds: float
    away: float

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


@dataclass(frozen=True)
class Asked:
    """A request, how it is made, and the verbs that are given to its run, each so many seconds after its first step."""

    name: str
    body: dict[str, Any]
    by_event: bool
    copies: int = 0
    conflicting: bool = False  # one more with the same id and another body, at the same moment
    verbs: tuple[tuple[float, str], ...] = ()
    wrong_approval: bool = False  # first somebody approves another plan


@dataclass(frozen=True)
class FleetSpec:
    part: str
    number: int
    seed: int
    revisions: dict[str, list[float]] = field(default_factory=dict)  # seconds that each takes, by service
    broken: str = ""  # the service whose last revision fails until it is repaired
    requests: tuple[Asked, ...] = ()
    faults: tuple[Fault, ...] = ()

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "faults": [str(each) for each in self.faults]}

    def __str__(self) -> str:
        asked = [f"{each.body['services'] if each.body['services'] == 'all' else len(each.body['services'])}"
                 + "".join(f" {verb}" for _, verb in each.verbs) for each in self.requests]  # fmt: skip
        return f"{self.part}{self.number} {' + '.join(map(str, self.faults))} ({', '.join(asked)})"


def draw(part: str, number: int, campaign_seed: int) -> FleetSpec:
    random = Random(f"{campaign_seed}/{part}/{number}")
    seed = random.getrandbits(32)
    if part == KILLS:
        place = KILLED[(number - 1) % len(KILLED)]  # each in turn
        faults: tuple[Fault, ...] = (_fault(random, "kill", place),)
    else:
        faults = _mix(random, number)
    services = sorted(random.sample(SERVICES, random.randint(2, 4)))
    if any(each.kind == "workflow" or WORKING in each.what for each in faults):
        services = sorted({*services, *random.sample(SERVICES, 2)})
    revisions = {name: [random.uniform(0.2, 0.9) for _ in range(random.randint(1, 3))] for name in services}
    broken = random.choice(services) if part == MIXED and random.random() < 0.3 else ""
    count = random.choice((1, 1, 2, 3)) if part == MIXED else random.choice((1, 2))
    special = {each.what for each in faults if each.kind in ("workflow", "other")}
    requests = tuple(_asked(random, part, f"{part}{number}-{index}", services, index, special, broken)
                     for index in range(count))  # fmt: skip
    return FleetSpec(part, number, seed, revisions, broken, requests, faults)


def _fault(random: Random, kind: str, what: str) -> Fault:
    away = random.uniform(1, 10) if kind == "stop" else random.choice((0.0, 0.0, random.uniform(0.5, 5)))
    away = STALLED_SECONDS if what == "stall" else away
    return Fault(kind, what, random.uniform(0, 0.6), away)


def _mix(random: Random, number: int) -> tuple[Fault, ...]:
    """Workflow faults and stops in turn, and a second trouble beside every third."""
    choices = [*(("stop", place) for place in STOPPED), *(("workflow", each) for each in WORKFLOW),
               *(("other", each) for each in OTHERS)]  # fmt: skip
    first = choices[(number * 7) % len(choices)]
    faults = [_fault(random, *first)]
    if random.random() < 0.35 and first[1] not in ("stall", "purge", "rolling restart"):
        second = random.choice([each for each in KILLED if REPLICA not in each and each != first[1]])
        faults.append(_fault(random, "kill", second))
    return tuple(faults)


def _asked(
    random: Random, part: str, name: str, services: list[str], index: int, special: set[str], broken: str
) -> Asked:
    body: dict[str, Any] = {"request_id": name, "services": "all", "max_parallel": random.choice((1, 1, 2, 3, 4))}
    if index > 0 or random.random() < 0.4:
        body["services"] = sorted(random.sample(services, random.randint(1, len(services)))) if index else services
    if part == MIXED:
        body["on_failure"] = random.choice(("stop", "continue", "compensate"))
    if random.random() < 0.2:
        body["first"] = [random.choice(services if body["services"] == "all" else body["services"])]
    if random.random() < 0.1:
        body["pause_between"] = random.choice((1, "resume"))
    approval = "file changed" in special or (not special & set(WORKFLOW) and part == MIXED and random.random() < 0.25)
    if approval and index == 0:
        body |= {"approval": "required", "requested_by": "release-bot"}
    by_event = approval or random.random() < 0.5
    copies = random.choice((1, 2, 4)) if random.random() < 0.3 else 0
    conflicting = not by_event and random.random() < 0.2
    verbs: tuple[tuple[float, str], ...] = ()
    if special & set(WORKFLOW) and index == 0:
        body |= {"services": "all", "max_parallel": 1}
        verbs = ((0.0, "pause"),)
    elif part == MIXED and random.random() < 0.6:
        verb = random.choice(("pause", "pause now", "pause now", "cancel"))
        verbs = ((random.uniform(0, 2.5), verb),)
    wrong = approval and index == 0 and random.random() < 0.5
    return Asked(name, body, by_event, copies, conflicting, verbs, wrong)
