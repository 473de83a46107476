"""The doors of a fleet: every route that changes something or tells something confidential, and daprd's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.infrastructure.call_keys import COORDINATOR
from scripts.infrastructure.ports import LOOPBACK
from scripts.infrastructure.render import AUDIT

DAPRD = "daprd"  # the way to a route of its own
# Nothing of it could do harm if it were taken: a service and a revision that nobody has.
REQUEST = {"services": ["no-such-service"], "request_id": "assessment"}
ACKNOWLEDGEMENT = {"seq": 2**53, "reason": "assessment"}  # of an event that no audit has
OPERATION = {"operation_id": "assessment", "target": "no-such-revision"}
EVENTS = {
    "events": [
        {
            "event_id": "00000000-0000-4000-8000-000000000000",
            "event_type": "migration.requested",
            "occurred_at": "2026-01-02T03:04:05Z",
            "source": "nobody",
            "request_id": "assessment",
        }
    ]
}
CLOUD_EVENT = {"specversion": "1.0", "id": "assessment", "source": "assessment", "type": "t", "data": REQUEST}


@dataclass(frozen=True)
class Route:
    """One route of an application."""

    application: str
    method: str
    path: str
    body: Any = None

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Door:
    """A route, and a way to it: the application's own port, or a sidecar."""

    route: Route
    way: str  # for the table
    base: str  # URL without the path of the route
    token: str = field(default="", repr=False)  # of the sidecar: as if the attacker had it

    @property
    def url(self) -> str:
        """Where it is sent."""
        return self.base + self.route.path


def routes_of(name: str) -> list[Route]:
    """The routes of one application."""
    if name == COORDINATOR:
        return [
            Route(name, "POST", "/migrations", REQUEST),
            Route(name, "POST", "/plans", REQUEST),
            Route(name, "POST", "/audit/acknowledgements", ACKNOWLEDGEMENT),
            Route(name, "POST", "/migrations/assessment/cancel", {}),
            Route(name, "GET", "/audit/events"),
            Route(name, "GET", "/journals/cas-audit"),
        ]
    of_a_service = [
        Route(name, "POST", "/migrations/operations", OPERATION),
        Route(name, "DELETE", "/migrations/operations/assessment"),
        Route(name, "GET", "/migrations/journal"),
    ]
    if name == AUDIT:
        of_a_service += [Route(name, "POST", "/audit/events", EVENTS), Route(name, "GET", "/audit/events")]
    return of_a_service


def doors_of(fleet: dict[str, dict[str, Any]], token: str = "") -> Iterator[Door]:
    """Each route by its own port, by its own sidecar and by the coordinator's. `fleet` is that of a dapr.yaml.

    The coordinator's sidecar once more with its token: then the application alone has to refuse.
    """
    for name, application in fleet.items():
        through = f"/v1.0/invoke/{name}/method"
        for route in routes_of(name):
            yield Door(route, "app port", _http(application["appPort"]))
            yield Door(route, "own sidecar", _http(application["daprHTTPPort"]) + through)
            by_coordinators = _http(fleet[COORDINATOR]["daprHTTPPort"]) + through
            if name != COORDINATOR:
                yield Door(route, "coordinator's sidecar", by_coordinators)
            if token:
                yield Door(route, "sidecar, with token", by_coordinators, token)


def event_doors_of(fleet: dict[str, dict[str, Any]]) -> Iterator[Door]:
    """Where an event could be delivered past the broker: only the coordinator's sidecar may do that."""
    application = fleet[COORDINATOR]
    for path in ("/events/migrate-requested", "/events/migrate-requested-dead"):
        route = Route(COORDINATOR, "POST", path, CLOUD_EVENT)
        yield Door(route, "app port", _http(application["appPort"]))
        yield Door(route, "own sidecar", _http(application["daprHTTPPort"]) + f"/v1.0/invoke/{COORDINATOR}/method")


def sidecar_doors_of(fleet: dict[str, dict[str, Any]]) -> Iterator[Door]:
    """What daprd itself answers: state, publishing, its metadata, its end, and calls to foreign addresses."""
    for name, application in fleet.items():
        base = _http(application["daprHTTPPort"])
        foreign = f"/v1.0/invoke/http://{LOOPBACK}:{application['appPort']}/method/healthz"
        for route in (
            Route(name, "GET", "/v1.0/state/statestore/index-of-runs"),
            Route(name, "POST", "/v1.0/state/statestore", [{"key": "assessment", "value": {}}]),
            Route(name, "POST", "/v1.0/publish/pubsub/migrate.requested", REQUEST),
            Route(name, "POST", "/v1.0/workflows/dapr/assessment/start?instanceID=assessment", {}),
            Route(name, "POST", "/v1.0/shutdown"),
            Route(name, "GET", "/v1.0/secrets/assessment/assessment"),
            Route(name, "GET", foreign),
        ):
            yield Door(route, DAPRD, base)


def _http(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
