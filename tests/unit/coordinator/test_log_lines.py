"""A log line says what happened and its facts, and cannot be forged or grow without end."""

import logging
import sys

from coordinator.log_format import LONGEST_LINE, Lines


def line(message: str = "event_refused", *, failure: bool = False, **facts: object) -> str:
    record = logging.LogRecord("coordinator.x", logging.INFO, "f", 1, message, (), sys.exc_info() if failure else None)
    vars(record).update(facts)
    return Lines().format(record)


def test_facts_stand_behind_the_event() -> None:
    assert line(request_id="r1", code="CM-101").endswith('info event_refused request_id=r1 code="CM-101"')


def test_a_strangers_text_cannot_begin_a_line_of_its_own() -> None:
    assert "\n" not in line(why="one\r\n2026-01-01 info event_accepted\x1b[31m")
    assert "\x1b" not in line(why="\x1b[31m")


def test_a_traceback_is_one_line_too() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        text = line(failure=True)
    assert "ValueError: broken" in text
    assert "\n" not in text


def test_no_line_is_longer_than_dapr_run_reads() -> None:
    assert len(line(**{f"fact{number}": "x" * 10_000 for number in range(100)})) == LONGEST_LINE
