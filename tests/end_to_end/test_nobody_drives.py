"""Without its scheduler Dapr carries nothing out: the coordinator says so, and goes on when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from tests.end_to_end.ground import Ground


def within(seconds: float, seen: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen():
            return True
        time.sleep(0.5)
    return False


def is_ready(ground: Ground) -> bool | None:
    """None where nobody answered."""
    try:
        answer = ground.ask("GET", "/readyz")
        connected = "\ncoordinator_worker_connected 1" in ground.ask("GET", "/metrics").text  # not the HELP line
    except httpx.HTTPError:
        return None
    if answer.status_code == httpx.codes.OK and connected:
        return True
    return False if answer.json().get("code") == "CM-813" and not connected else None


def test_an_engine_that_takes_no_turn_makes_the_coordinator_unready_until_it_is_back(ground: Ground) -> None:
    plane = ground.infrastructure.control_plane
    assert within(30, lambda: is_ready(ground) is True)
    plane.scheduler.stop()
    try:
        assert within(75, lambda: is_ready(ground) is False)
    finally:
        plane.start()
    assert within(60, lambda: is_ready(ground) is True)
    accepted = ground.ask("POST", "/migrations", json={"services": ["cas-audit", "cds-task"]}).json()
    assert ground.ended(accepted["request_id"])["state"] == "succeeded"
