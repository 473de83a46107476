"""Runs `migration-sidecar serve` for one environment, and sends the requests that a coordinator sends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bench.one_database.environments import NO_DATABASE_VARIABLES, Environment
from scripts.infrastructure import ports
from scripts.infrastructure.supervise import Program, dying_with_us

MIGRATION_SIDECAR = str(Path(sys.executable).parent / "migration-sidecar")
SERVICE, FORKSERVER = "the service", "the process that forks"
WAIT_SECONDS = 20  # as in the longest poll of a coordinator


class OperationWentWrong(Exception):
    """A measured operation did not succeed, so its time means nothing."""


@dataclass
class Service:
    """A running service that does not migrate by itself, like the services of a fleet."""

    environment: Environment
    program: Program
    http: httpx.Client
    parts: dict[str, float] = field(default_factory=dict)

    def migrate(self, target: str = "head", action: str = "upgrade") -> dict[str, Any]:
        """Asks for the plan, then orders that plan, and returns the finished operation. Raises OperationWentWrong.

        `parts` has the seconds of each part afterwards.
        """
        begun = time.perf_counter()
        plan = self.ask("/migrations/plan", action=action, target=target)
        planned = time.perf_counter()
        operation = self._order(plan, action, target)
        ended = time.perf_counter()
        if operation["state"] != "succeeded":
            raise OperationWentWrong(f"{operation['operation_id']} is {operation['state']}: {operation.get('error')}")
        took = datetime.fromisoformat(operation["finished_at"]) - datetime.fromisoformat(operation["started_at"])
        self.parts = {"plan": planned - begun, "operation": ended - planned, "reported": took.total_seconds()}
        return operation

    def _order(self, plan: dict[str, Any], action: str, target: str) -> dict[str, Any]:
        body = {
            "operation_id": f"bench-{uuid4()}",
            "action": action,
            "target": target,
            "expected_revisions": plan["from"],
            "plan_digest": plan["digest"],
            "requested_by": "bench",
        }
        operation = self._answer(
            self.http.post("/migrations/operations", json=body, params={"wait_seconds": WAIT_SECONDS})
        )
        while operation["state"] in ("accepted", "running"):
            operation = self.ask(f"/migrations/operations/{body['operation_id']}", wait_seconds=str(WAIT_SECONDS))
        return operation

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """The JSON answer of a GET request. Raises OperationWentWrong for an error status."""
        return self._answer(self.http.get(path, params=parameters))

    def milliseconds_of(self, path: str, calls: int) -> list[float]:
        """The time from each request to its answer, in ms."""
        return [self._milliseconds(path) for _ in range(calls)]

    def _milliseconds(self, path: str) -> float:
        begun = time.perf_counter()
        self.ask(path)
        return (time.perf_counter() - begun) * 1000

    def resident_bytes(self) -> dict[str, int]:
        """Of the service and its forkserver. The worker process of a migration has ended by then."""
        process = self.program.process()
        if process is None:
            raise OperationWentWrong("the service has ended")
        (forkserver,) = process.children()
        return {SERVICE: process.memory_info().rss, FORKSERVER: forkserver.memory_info().rss}

    @staticmethod
    def _answer(answer: httpx.Response) -> dict[str, Any]:
        document: dict[str, Any] = answer.json()
        if answer.is_error:
            raise OperationWentWrong(f"{answer.request.url.path}: {document.get('detail')}")
        return document


@contextmanager
def serving(environment: Environment, directory: Path) -> Iterator[Service]:
    """Starts the service, waits until it has read its files once, and stops it at the end."""
    (port,) = ports.choose(1)
    command = [MIGRATION_SIDECAR, "serve", "--config", str(environment.ini), "--port", str(port)]
    variables = {**NO_DATABASE_VARIABLES, "MIGRATE_ON_STARTUP": "check", "DAPR_HTTP_PORT": "", "CALL_SIGNATURES": "off"}
    program = Program(environment.folder.name, dying_with_us(command), directory, environment=variables)
    with httpx.Client(base_url=f"http://{ports.LOOPBACK}:{port}", timeout=60, trust_env=False) as http:
        service = Service(environment, program, http)
        try:
            program.start()
            program.wait_until(lambda: not ports.is_free(port), f"an answer on port {port}")
            service.ask("/migrations")
            yield service
        finally:
            program.stop()
