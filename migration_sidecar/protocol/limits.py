"""Time limits that the service and its worker processes share."""

from __future__ import annotations

CONNECT_SECONDS = 4  # of a probe's connection, so that the whole probe takes less than five
