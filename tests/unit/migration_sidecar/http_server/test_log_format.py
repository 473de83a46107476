"""A log line says what happened and its facts, and cannot be forged or grow without end."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from migration_sidecar.http_server.log_format import LONGEST_LINE, JsonFormatter, TextFormatter, configure_logging

FORMATTERS = [TextFormatter(), JsonFormatter()]
each_formatter = pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])


def record(event: str = "event_refused", *, failure: bool = False, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("coordinator.x", logging.INFO, "f", 1, event, (), sys.exc_info() if failure else None)
    made.created = 1_792_000_000.25
    vars(made).update(facts)
    return made


def read(made: logging.LogRecord) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(JsonFormatter().format(made))
    return entry


def test_facts_stand_behind_the_event() -> None:
    text = TextFormatter().format(record(request_id="r1", code="CM-101", count=7))
    assert text == '2026-10-14T17:46:40.250Z info event_refused request_id=r1 code="CM-101" count=7'


def test_as_json_the_facts_stand_beside_the_event_and_numbers_stay_numbers() -> None:
    assert read(record(request_id="r1", count=7, copy=None)) == {
        "time": "2026-10-14T17:46:40.250Z",
        "level": "info",
        "logger": "coordinator.x",
        "event": "event_refused",
        "request_id": "r1",
        "count": 7,
        "copy": None,
    }


def test_no_fact_takes_the_place_of_the_time_or_the_event() -> None:
    made = record(time="never", level="error")
    vars(made)["event"] = "event_accepted"
    entry = read(made)
    assert (entry["time"], entry["event"], entry["level"]) == ("2026-10-14T17:46:40.250Z", "event_refused", "info")


@each_formatter
@pytest.mark.parametrize("text", ["one\r\n2026-01-01 info event_accepted\x1b[31m", "\x1b[31m", "\u2028"])
def test_a_strangers_text_cannot_begin_a_line_of_its_own(formatter: TextFormatter, text: str) -> None:
    for made in (record(why=text), record(text)):
        assert formatter.format(made).isprintable()


@each_formatter
def test_what_stamina_says_of_a_repeat_is_without_the_arguments(formatter: TextFormatter) -> None:
    facts = {"stamina.callable": "read", "stamina.args": ("secret",), "stamina.kwargs": {"url": "secret"}}
    line = formatter.format(record("stamina.retry_scheduled", **facts))
    assert "read" in line
    assert "secret" not in line


@each_formatter
def test_a_traceback_is_one_line_too_and_keeps_its_end(formatter: TextFormatter) -> None:
    try:
        raise ValueError("broken " * 1000 + "at last")
    except ValueError:
        text = formatter.format(record(failure=True, request_id="r1"))
    assert "at last" in text
    assert "r1" in text
    assert text.isprintable()


@each_formatter
def test_no_line_is_longer_than_dapr_run_reads(formatter: TextFormatter) -> None:
    line = formatter.format(record("e" * 10_000, **{f"fact{number}": "x" * 10_000 for number in range(100)}))
    assert LONGEST_LINE - 600 < len(line) <= LONGEST_LINE


def test_a_line_that_is_too_long_is_json_still() -> None:
    assert read(record(**{f"fact{number}": "\x00" * 10_000 for number in range(100)}))["event"] == "event_refused"


Begin = Callable[[], logging.Logger]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """As in a program of its own, where nobody has arranged for logging: here pytest has."""
    log = logging.getLogger("of this test")
    log.parent = None

    def begin() -> logging.Logger:
        log.handlers.clear()
        configure_logging(log.name)
        return log

    yield begin
    log.handlers.clear()


@pytest.mark.parametrize("word", ["json", "JSON", " json "])
def test_the_format_and_the_level_are_those_of_the_environment(
    begin: Begin, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", word)
    monkeypatch.setenv("LOG_LEVEL", "warning")
    log = begin()
    log.info("not_told")
    log.warning("told")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "told"


@pytest.mark.parametrize("given", ["", None])
def test_without_a_setting_it_is_text_from_info_on(
    begin: Begin, given: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("LOG_FORMAT", "LOG_LEVEL"):
        monkeypatch.delenv(variable, raising=False) if given is None else monkeypatch.setenv(variable, given)
    log = begin()
    log.debug("not_told")
    log.info("told")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info told\n", capsys.readouterr().err)


def test_a_word_that_is_unknown_is_told_and_keeps_nobody_from_starting(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "%(message)s")
    monkeypatch.setenv("LOG_LEVEL", "trace")
    begin().info("told")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["log_setting_unknown", "log_setting_unknown", "told"]
    assert 'variable="LOG_LEVEL" value=trace' in lines[1]


def test_where_the_application_logs_in_its_own_way_nothing_is_changed() -> None:
    log = logging.getLogger("of another test")
    configure_logging(log.name)  # pytest has a handler at the root
    assert (log.handlers, log.propagate, log.level) == ([], True, logging.NOTSET)


@each_formatter
def test_no_line_has_a_password_of_an_address_or_a_setting(formatter: TextFormatter) -> None:
    try:
        raise RuntimeError("cannot reach postgresql://ada:Meyer7@h/x with password=Meyer7")
    except RuntimeError as error:
        line = formatter.format(record(failure=True, why=str(error)))
    assert "cannot reach" in line
    assert "Meyer7" not in line
