"""Events come from our own sidecar: where APP_API_TOKEN is set, from nobody who does not show it."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from migration_sidecar.contract.messages import Problem
from migration_sidecar.http_server.problem_response import problem_response
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings

VARIABLE = "APP_API_TOKEN"
HEADER = b"dapr-api-token"
# What a sidecar asks by itself: what the application subscribes to, deliveries, and jobs.
ROUTES = ("/dapr/", "/events/", "/job/")

log = logging.getLogger(__name__)


class OwnSidecarGuard:
    """ASGI middleware. The token is read from `environment` with each request, like a file of keys."""

    def __init__(self, app: ASGIApp, *, environment: Mapping[str, str]) -> None:
        self._app, self._environment = app, environment
        self._warnings = RateLimitedWarnings(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses the request with 401, or passes it on."""
        token = self._environment.get(VARIABLE, "")
        if not token or scope["type"] != "http" or not scope["path"].startswith(ROUTES) or _shows(scope, token):
            await self._app(scope, receive, send)
            return
        self._warnings.warn("request_refused", kind="not_our_sidecar")
        detail = (
            f"This route is for the sidecar of this application, and the request does not show the {VARIABLE} of both."
        )
        problem = Problem.of(
            "CM-108", detail, next_step="Publish the event through the sidecar, or use POST /migrations."
        )
        await problem_response(problem, 401)(scope, receive, send)


def _shows(scope: Mapping[str, Any], token: str) -> bool:
    shown = [value for name, value in scope["headers"] if name.lower() == HEADER]
    return len(shown) == 1 and hmac.compare_digest(shown[0], token.encode())
