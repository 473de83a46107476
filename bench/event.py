"""Migrating with one event: from publishing it until the run and its audit are recorded, all through Dapr."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from bench.ground import Ground
from coordinator.domain.run_state import RunState
from scripts.infrastructure.call_keys import sign_as_operator
from scripts.infrastructure.fleet import COORDINATOR
from signed_calls.sidecar_token import HEADER
from signed_calls.signature import Call

TIMEOUT_SECONDS = 120


class RunWentWrong(Exception):
    """A measured run did not succeed, so its time means nothing."""


@dataclass
class Event:
    """One event to the coordinator; `parts` has the seconds of each part of the last run."""

    ground: Ground
    http: httpx.Client
    name: str = "one event to the coordinator"
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def _method(self) -> str:
        return f"{self.ground.fleet.sidecar}/v1.0/invoke/{COORDINATOR}/method"

    @property
    def _token(self) -> dict[str, str]:
        return {HEADER: self.ground.fleet.token}

    def fresh(self) -> None:
        """Migrates empty databases."""
        self._migrate("succeeded")

    def at_head(self) -> None:
        """Migrates databases that are at head already."""
        self._migrate("unchanged")

    def _migrate(self, expected: str) -> None:
        request_id = f"bench-{uuid4()}"
        published_at = datetime.now(UTC)
        body = {"request_id": request_id, "services": "all", "requested_by": "bench"}
        self.http.post(
            f"{self.ground.fleet.sidecar}/v1.0/publish/pubsub/migrate.requested", json=body, headers=self._token
        ).raise_for_status()
        record = self._recorded(request_id)
        recorded_at = datetime.now(UTC)
        states = {step["service"]: step["state"] for step in record["steps"]}
        if record["state"] != "succeeded" or set(states.values()) != {expected}:
            raise RunWentWrong(f"{request_id} is {record['state']} with {states}: {record.get('error')}")
        self.parts = where_the_time_went(record, published_at, recorded_at)

    def _recorded(self, request_id: str) -> dict[str, Any]:
        """The finished run. Polls without a pause, so that the end is noticed at once. Raises RunWentWrong."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            url = f"{self._method}/migrations/{request_id}"
            answer = self.http.get(url, params={"wait_seconds": 1}, headers=self._token)
            if answer.status_code == httpx.codes.OK:
                record: dict[str, Any] = answer.json()
                if RunState(record["state"]).terminal and record.get("audit") == "recorded":
                    return record
            time.sleep(0.002)
        raise RunWentWrong(f"{request_id} was not recorded within {TIMEOUT_SECONDS} s")

    def door_milliseconds(self, calls: int) -> list[float]:
        """Times from a call to its answer, in ms. All are dry runs, so that no migration runs besides."""
        return [self._call() for _ in range(calls)]

    def _call(self) -> float:
        asked = {"request_id": f"door-{uuid4()}", "services": ["cas-audit"], "dry_run": True, "requested_by": "bench"}
        body = json.dumps(asked).encode()
        signed = sign_as_operator(
            self.ground.infrastructure.settings.keys_folder, Call("POST", "/migrations", COORDINATOR, body)
        )
        headers = {"content-type": "application/json", **self._token, **signed}
        begun = time.perf_counter()
        self.http.post(f"{self._method}/migrations", content=body, headers=headers).raise_for_status()
        took = (time.perf_counter() - begun) * 1000
        time.sleep(0.05)
        return took


def where_the_time_went(record: dict[str, Any], published_at: datetime, recorded_at: datetime) -> dict[str, float]:
    """Seconds of each part, in the order in which they pass.

    `own per step` is the time of the run without the operations of the services, divided by the number of steps.
    """
    accepted, started, finished = (
        datetime.fromisoformat(record[f"{word}_at"]) for word in ("accepted", "started", "finished")
    )
    steps = record["steps"]
    operations = sum((step.get("operation_ms") or 0) for step in steps) / 1000
    carrying_out = (finished - started).total_seconds()
    return {
        "door": (accepted - published_at).total_seconds(),
        "plan": (started - accepted).total_seconds(),
        "operations": operations,
        "own": carrying_out - operations,
        "record": (recorded_at - finished).total_seconds(),
        "own per step": (carrying_out - operations) / len(steps),
    }
