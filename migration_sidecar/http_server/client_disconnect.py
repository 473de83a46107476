"""Ends a request quietly when the client disconnects before it has its answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class ClientDisconnectGuard:
    """ASGI middleware. No route needs to handle ClientDisconnect itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application and logs a disconnect at level debug."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            log.debug("caller_went_away")
