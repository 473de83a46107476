"""Connections with limits: how many there are, and how long a request may take to arrive.

`uvicorn --http migration_sidecar.http_server.bounded_connections:BoundedHttp`, or UVICORN_HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings

REQUEST_SECONDS = 30.0  # for a whole request, headers and body; how long its answer takes is not limited
MOST_CONNECTIONS = 2000
FILES_FOR_OTHERS = 200  # databases, sidecar, logs

log = logging.getLogger(__name__)
_warnings = RateLimitedWarnings(log)
_ARRIVED = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR, h11.SWITCHED_PROTOCOL)


class BoundedHttp(H11Protocol):
    """Of a caller that is refused or too slow the connection is closed without an answer."""

    _timer: asyncio.TimerHandle | None = None
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or closes it because there are too many."""
        if len(self.connections) >= most_connections():
            _warnings.warn("connection_refused", kind="too_many", connections=len(self.connections))
            self._is_refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several requests."""
        if self._timer is None:
            self._expect_request()
        super().data_received(data)
        if self.conn.their_state in _ARRIVED:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        """The next request may have arrived already, as a whole or in part."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self._timer is None:
            self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of a connection that was never taken there is nothing to end."""
        self._expect_nothing()
        if not self._is_refused:
            super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        _warnings.warn("connection_closed", kind="request_too_slow", seconds=REQUEST_SECONDS)
        self.transport.abort()


def most_connections() -> int:
    """At most MOST_CONNECTIONS, and fewer where the process may open only a few files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS
        if files == resource.RLIM_INFINITY
        else min(MOST_CONNECTIONS, max(50, files - FILES_FOR_OTHERS))
    )
