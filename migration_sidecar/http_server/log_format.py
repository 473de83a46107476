"""One line per event on standard error: when, how serious, what happened, then the facts; as text or as JSON.

The environment variable LOG_FORMAT is `text` or `json`, LOG_LEVEL is `debug`, `info`, `warning` or `error`. A line is
short and has no control characters, so that a stranger's text cannot begin a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

# What logging itself puts on every record; everything else was given as `extra`.
OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What stamina says of each repeat; arguments may be as long and as private as they like.
LEFT_OUT = OWN | {"stamina.args", "stamina.kwargs"}
LONGEST_FACT = 500
LONGEST_TRACEBACK = 4000
# `dapr run` stops reading a stream at 64 KiB without a line break, and the application then blocks on it.
LONGEST_LINE = 8000


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = record.getMessage()
        words = [_time(record), record.levelname.lower(), event if event.isprintable() else json.dumps(event)]
        words += [f"{name}={_quoted(str(value))}" for name, value in self.facts(record).items()]
        return " ".join(words)[:LONGEST_LINE]

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """What was given as `extra`, and the end of the traceback: the error itself stands there."""
        facts = {name: _short(value) for name, value in vars(record).items() if name not in LEFT_OUT}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)[-LONGEST_TRACEBACK:]
        return facts


class JsonFormatter(TextFormatter):
    def format(self, record: logging.LogRecord) -> str:
        event = record.getMessage()[:LONGEST_FACT]
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "event": event}
        entry = {**head, **self.facts(record), **head}  # no fact takes the place of these four
        while len(line := json.dumps(entry)) > LONGEST_LINE:
            entry.popitem()  # a line that is cut anywhere else is no JSON
        return line


FORMATTERS: dict[str, type[TextFormatter]] = {"text": TextFormatter, "json": JsonFormatter}
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(*names: str) -> None:
    """Only for the loggers of these names, and only where the application has not arranged for them itself."""
    kind, level = _word("LOG_FORMAT", "text"), _word("LOG_LEVEL", "info")
    for log in map(logging.getLogger, names):
        if log.hasHandlers():
            continue
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(FORMATTERS.get(kind, TextFormatter)())
        log.addHandler(handler)
        log.setLevel(LEVELS.get(level, logging.INFO))
        log.propagate = False
        # Other programs read variables of these names too: a word of theirs keeps no service from starting.
        for variable, word, known in (("LOG_FORMAT", kind, [*FORMATTERS]), ("LOG_LEVEL", level, [*LEVELS])):
            if word not in known:
                log.warning("log_setting_unknown", extra={"variable": variable, "value": word, "known": known})


def _word(variable: str, default: str) -> str:
    return os.environ.get(variable, "").strip().lower() or default


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)[:LONGEST_FACT]


def _quoted(text: str) -> str:
    return text if text.isalnum() else json.dumps(text)
