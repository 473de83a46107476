"""One line per event on standard error: what happened, then the facts; short, and free of control characters."""

from __future__ import annotations

import json
import logging
import sys

# What logging itself puts on every record; everything else was given as `extra`.
OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LONGEST_FACT = 500
# What applications share is in the second.
LOGS = ("coordinator", "migration_sidecar")
# `dapr run` stops reading a stream at 64 KiB without a line break, and the application then blocks on it.
LONGEST_LINE = 8000


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in vars(record).items() if name not in OWN}
        text = f"{self.formatTime(record)} {record.levelname.lower()} {record.getMessage()}"
        if facts:
            text += " " + " ".join(f"{name}={_shown(value)}" for name, value in facts.items())
        if record.exc_info:
            text += f" traceback={json.dumps(self.formatException(record.exc_info))}"
        return text[:LONGEST_LINE]


def begin_logging() -> None:
    """Only for our own lines; a second call changes nothing."""
    for log in map(logging.getLogger, LOGS):
        if log.handlers:
            continue
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Lines())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value.isalnum() else json.dumps(str(value)[:LONGEST_FACT])
