"""Limits that the service and its worker processes share."""

from __future__ import annotations

RESERVED_PER_USED = 8  # how much memory a worker may reserve for what it may use; many libraries reserve much
CONNECT_SECONDS = 4  # of a probe's connection, so that the whole probe takes less than five
