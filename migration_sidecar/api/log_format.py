"""A service's own log: one short line per event, the facts behind it, free of control characters."""

from __future__ import annotations

import json
import logging
import sys

OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# `dapr run` stops reading a stream at 64 KiB without a line break, and the application then blocks on it.
LONGEST_LINE = 8000


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {name: str(value)[:500] for name, value in vars(record).items() if name not in OWN}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        text = f"{self.formatTime(record)} {record.levelname.lower()} {record.getMessage()}"
        return f"{text} {json.dumps(facts)}"[:LONGEST_LINE] if facts else text


def begin_logging() -> None:
    """Only for our own lines, and only where the application has not arranged for them itself."""
    log = logging.getLogger("migration_sidecar")
    if log.hasHandlers():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
