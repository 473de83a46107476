"""Writes one line per event to standard error, as text or as JSON: time, level, event, facts.

The environment variable LOG_FORMAT is `text` or `json`, LOG_LEVEL is `debug`, `info`, `warning` or `error`. A line is
short and has no control characters, so that text from outside cannot look like a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from migration_sidecar.protocol.server_words import hide_secrets

# The attributes that logging sets on every record; all others come from `extra`.
RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# stamina adds the arguments of a retried call, which may be long or secret.
EXCLUDED_ATTRIBUTES = RECORD_ATTRIBUTES | {"stamina.args", "stamina.kwargs"}
LONGEST_FACT = 500
LONGEST_TRACEBACK = 4000
# `dapr run` stops reading a stream at 64 KiB without a line break, and the application then blocks on it.
LONGEST_LINE = 8000


class TextFormatter(logging.Formatter):
    """One line of text: time, level, event, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, at most LONGEST_LINE characters."""
        event = record.getMessage()
        words = [_time(record), record.levelname.lower(), event if event.isprintable() else json.dumps(event)]
        words += [f"{name}={_quoted(str(value))}" for name, value in self.facts(record).items()]
        return " ".join(words)[:LONGEST_LINE]

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """The values of `extra`, and the end of the traceback, which names the error."""
        facts = {name: _short(value) for name, value in vars(record).items() if name not in EXCLUDED_ATTRIBUTES}
        if record.exc_info:
            traceback = self.formatException(record.exc_info)[-2 * LONGEST_TRACEBACK :]
            facts["traceback"] = hide_secrets(traceback)[-LONGEST_TRACEBACK:]
        return facts


class JsonFormatter(TextFormatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, at most LONGEST_LINE characters. The last facts are left out if it is too long."""
        event = record.getMessage()[:LONGEST_FACT]
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "event": event}
        entry = {**head, **self.facts(record), **head}  # no fact replaces these four
        while len(line := json.dumps(entry)) > LONGEST_LINE:
            entry.popitem()  # a line that is cut elsewhere is not valid JSON
        return line


FORMATTERS: dict[str, type[TextFormatter]] = {"text": TextFormatter, "json": JsonFormatter}
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(*names: str) -> None:
    """Configures only the loggers of these names, and only if the application has no handlers for them."""
    kind, level = _setting("LOG_FORMAT", "text"), _setting("LOG_LEVEL", "info")
    for log in map(logging.getLogger, names):
        if log.hasHandlers():
            continue
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(FORMATTERS.get(kind, TextFormatter)())
        log.addHandler(handler)
        log.setLevel(LEVELS.get(level, logging.INFO))
        log.propagate = False
        # Other programs use these variables too, so an unknown value must not prevent the start.
        for variable, word, known in (("LOG_FORMAT", kind, [*FORMATTERS]), ("LOG_LEVEL", level, [*LEVELS])):
            if word not in known:
                log.warning("log_setting_unknown", extra={"variable": variable, "value": word, "known": known})


def _setting(variable: str, default: str) -> str:
    return os.environ.get(variable, "").strip().lower() or default


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> object:
    return (
        value
        if value is None or isinstance(value, int)
        else hide_secrets(str(value)[: 2 * LONGEST_FACT])[:LONGEST_FACT]
    )


def _quoted(text: str) -> str:
    return text if text.isalnum() else json.dumps(text)
