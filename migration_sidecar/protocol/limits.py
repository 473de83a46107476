"""Time limits that the service and its migration process share."""

from __future__ import annotations

CONNECT_SECONDS = 4  # of a look: with the rest of the question it stays below five
