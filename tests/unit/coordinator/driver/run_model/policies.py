"""Fleets and requests of every kind. The rarer parts of a request are left out most of the time."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.unit.coordinator.driver.run_model.services import BROKEN, ContractService
from tests.unit.coordinator.driver.run_model.tables import SERVICES


def set_up(random: Random, service: ContractService) -> None:
    """Three to five revisions, of which some are applied; one service in three fails, and some are slow."""
    service.history = [f"r{number}" for number in range(1, random.randint(3, 5) + 1)]
    service.questions = random.choice([1, 1, 2, 8])
    for _ in range(random.randint(0, 2)):
        service.go_on_without_us()
    if random.random() < 0.3:
        service.fails_with, service.fails_after = BROKEN, random.randint(0, 2)


def some_request(random: Random, now: datetime) -> dict[str, Any]:
    """The fields of a request, without its id."""
    fields = _downgrade(random) if random.random() < 0.15 else _upgrade(random)
    named = SERVICES if fields["services"] == "all" else fields["services"]
    rare: dict[str, Any] = {
        "first": [random.choice(named)],
        "pause_between": random.choice([30, 900, "resume"]),
        "approval": "required",
        "not_before": (now + timedelta(seconds=random.choice([60, 3600]))).isoformat(),
        "deadline": (now + timedelta(seconds=random.choice([3660, 7200]))).isoformat(),
    }
    fields |= {name: value for name, value in rare.items() if random.random() < 0.2}
    return {**fields, "max_parallel": random.randint(1, 3), "dry_run": random.random() < 0.05}


def _upgrade(random: Random) -> dict[str, Any]:
    services = "all" if random.random() < 0.5 else random.sample(SERVICES, random.randint(1, 3))
    on_failure = random.choice(["stop", "continue", "compensate", "compensate"])
    most = random.choice([None, 1, 2, "0%", "25%", "50%"]) if on_failure == "continue" else None
    return {"services": services, "on_failure": on_failure, **({} if most is None else {"max_failures": most})}


def _downgrade(random: Random) -> dict[str, Any]:
    services = random.sample(SERVICES[1:], random.randint(1, 2))
    target = {name: random.choice(["r1", "r2"]) for name in services}
    on_failure = random.choice(["stop", "continue"])
    return {"services": services, "action": "downgrade", "target": target, "on_failure": on_failure}
