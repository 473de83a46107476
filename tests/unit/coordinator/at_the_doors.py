"""Both doors and all other routes over a world in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
from fastapi import FastAPI

from coordinator.api import (
    acknowledgements,
    audit_proxy,
    commands,
    dead_letters,
    fleet,
    health,
    migrations,
)
from coordinator.api.events import subscriptions
from coordinator.api.http import PROBLEMS
from coordinator.api.requesters import CallRequesters, EventRequesters
from coordinator.audit.acknowledgements import GapAcknowledgement
from coordinator.audit.rejection_lookup import RejectionLookup
from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.permissions import Permissions
from coordinator.ports import TokenVerifier
from coordinator.runs.resubmission import Resubmission
from coordinator.runs.steering import Steering
from coordinator.unavailable import ServiceRefused, ServiceUnreachable
from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.problem_response import install_problem_handlers
from signed_calls.settings import CallSettings
from signed_calls.verification import Keys
from tests.unit.coordinator.fakes import Life, MemoryAudit, World


@dataclass
class Answer:
    content: bytes
    content_type: str = "application/json"

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.content


@dataclass
class AuditQuestions:
    """Answers as the audit does, as far as the coordinator asks on its own account."""

    audit: MemoryAudit

    async def open(self, path: str, query: str) -> Answer:
        if self.audit.down:
            raise ServiceUnreachable("audit", "it is down in this test")
        if (number := path.rpartition("/")[2]).isdecimal():
            return self._event(int(number))
        wanted = parse_qs(query)
        found = [
            {"seq": seq, **event.model_dump(mode="json")}
            for seq, event in enumerate(self.audit.events.values())
            if [event.request_id] == wanted["request_id"] and [event.event_type] == wanted["type"]
        ]
        return Answer(json.dumps({"events": found[::-1], "next_cursor": None}).encode())

    def _event(self, seq: int) -> Answer:
        if seq >= len(self.audit.events):
            problem = Problem.of("CM-604", f"The audit has no event {seq}.")
            raise ServiceRefused("audit", 404, problem)
        event = list(self.audit.events.values())[seq].model_dump(mode="json")
        hashes = dict.fromkeys(("payload_hash", "prev_hash", "hash"), "0" * 64)
        place = {"seq": seq, "recorded_at": event["occurred_at"]}
        return Answer(json.dumps(event | place | hashes).encode())


@dataclass(frozen=True)
class NoKeys:
    """Nobody is known."""

    def find(self, name: str, fingerprint: str) -> None:
        return None


UNCHECKED = CallSettings(required=False)


def call_requesters() -> CallRequesters:
    return CallRequesters.of(UNCHECKED, COORDINATOR, NoKeys(), Permissions())


def event_requesters(
    calls: CallSettings = UNCHECKED, keys: Keys = NoKeys(), *, unsigned_are_taken: bool = True
) -> EventRequesters:
    return EventRequesters.of(calls, COORDINATOR, keys, subscriptions.TOPIC, unsigned_are_taken=unsigned_are_taken)


def app_of(
    world: World,
    life: Life,
    calls: CallSettings = UNCHECKED,
    keys: Keys = NoKeys(),
    *,
    unsigned_events: bool = True,
    is_worker_connected: Callable[[], bool] = lambda: True,
    tokens: TokenVerifier | None = None,
) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    install_problem_handlers(app, PROBLEMS)
    callers = CallRequesters.of(calls, COORDINATOR, keys, life.intake.permissions, tokens)
    parts = (life.intake, life.runs, life.change_notifier, world.catalog, world.fleet, callers)
    questions = AuditQuestions(world.audit)
    lookup = RejectionLookup(life.spool, questions, life.letters)
    app.include_router(migrations.routes(migrations.ApiDependencies(*parts, lookup)))
    steering = Steering(life.runs, life.acceptance, life.intake.permissions, world.catalog, world.clock)
    app.include_router(commands.routes(steering, life.intake, callers))
    app.include_router(
        fleet.routes(
            catalog=world.catalog,
            messenger=world.fleet,
            drift_recorder=life.drift,
            audit_trail=life.audit_trail,
            requesters=callers,
        )
    )
    resubmission = Resubmission(life.letters, life.intake, life.spool)
    app.include_router(dead_letters.routes(dead_letters.DeadLetterDependencies(life.letters, resubmission, callers)))
    app.include_router(audit_proxy.routes(questions, callers))
    acknowledgement = GapAcknowledgement(questions, "audit", life.spool, world.clock, life.intake.permissions)
    app.include_router(acknowledgements.routes(acknowledgement, life.intake, callers))
    publishers = event_requesters(calls, keys, unsigned_are_taken=unsigned_events)
    subscriptions.subscribe(app, subscriptions.EventDoor(life.intake, publishers, life.letters), "pubsub")
    app.include_router(
        health.routes(
            runs=life.runs,
            is_worker_connected=is_worker_connected,
            recovery_loop=life.recovery_loop,
            intake=life.intake,
        )
    )
    return app


def client_of(world: World, life: Life) -> httpx.AsyncClient:
    return client_for(app_of(world, life))


def client_for(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://coordinator")


def event(event_id: Any = "e-1", data: Any = None, **changes: Any) -> bytes:
    """As daprd delivers it; `absent` takes an attribute away."""
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": "release-bot",
        "type": "migrate.requested",
        "datacontenttype": "application/json",
        "topic": "migrate.requested",
        "data": {"services": "all"} if data is None else data,
    }
    return json.dumps({name: value for name, value in (body | changes).items() if value != "absent"}).encode()
