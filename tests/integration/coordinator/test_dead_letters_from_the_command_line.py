"""What the operating guide says of dead letters: each command is run as it stands there, and answers what is shown."""

from __future__ import annotations

import asyncio
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from coordinator.api.events.subscriptions import handle_event
from coordinator.cli.app import app as command_line
from coordinator.domain.catalog_file import read_catalog
from scripts.infrastructure import ports
from tests.unit.coordinator.at_the_doors import app_of, event, event_requesters
from tests.unit.coordinator.fakes import Clock, World

ROOT = Path(__file__).parents[3]
SECTION = "### When an event was refused\n"
FLEET = """
[fleet]
name = "test"
audit = "cas-audit"
[[services]]
name = "cas-audit"
database = "cas_audit"
[[services]]
name = "cds-client"
database = "cds_client"
"""
NEWCOMER = """
[[services]]
name = "cds-portfolio"
database = "cds_portfolio"
"""
VARYING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "<moment>"),
    (re.compile(r"\d+(\.\d+)? m?s\b"), "<time>"),
    (re.compile(r"[ ─]+"), " "),
]
Command = Callable[..., Result]


def section() -> str:
    text = (ROOT / "docs" / "operating-guide.md").read_text().split(SECTION, 1)[1]
    return re.split(r"^##+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def shown() -> list[tuple[str, list[str]]]:
    """The commands of the section with the lines that stand under them."""
    blocks = re.findall(r"```console\n(.*?)```", section(), re.DOTALL)
    sessions = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    return [(command, answer.splitlines()) for command, answer in sessions]


def plain(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.strip()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """A coordinator that refused an event, and knows the service today for which it was refused."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    world = World(catalog=read_catalog(FLEET), clock=Clock(datetime(2026, 11, 30, 3, 0, tzinfo=UTC)))
    before, port = world.life(), ports.choose(1)[0]
    body = event("nightly-7", {"services": ["cds-portfolio"], "reason": "nightly"})
    assert asyncio.run(handle_event(body, before.intake, event_requesters(), before.letters)) == "DROP"
    world.catalog = read_catalog(FLEET + NEWCOMER)
    server = uvicorn.Server(uvicorn.Config(app_of(world, world.life()), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    monkeypatch.setenv("COORDINATOR_URL", f"http://127.0.0.1:{port}")
    yield lambda text: CliRunner().invoke(command_line, shlex.split(text)[1:])
    server.should_exit = True
    thread.join()


def test_every_command_of_the_guide_answers_what_stands_there(command: Command) -> None:
    sessions = shown()
    assert {" ".join(shlex.split(line)[1:3]) for line, _ in sessions} >= {
        "status nightly-7",
        "dead-letters list",
        "dead-letters show",
        "dead-letters resubmit",
    }
    for line, expected in sessions:
        result = command(line)
        answered = {plain(each) for each in result.output.splitlines()}
        assert [each for each in map(plain, expected) if each and each not in answered] == [], (line, result.output)
        assert result.exit_code == (2 if line == "coordinator status nightly-7" and "CM-604" in result.output else 0)


def test_the_same_letter_resubmitted_twice_is_one_run_for_whoever_types_it(command: Command) -> None:
    assert command("coordinator dead-letters resubmit nightly-7").exit_code == 0
    again = command("coordinator dead-letters resubmit nightly-7")
    assert (again.exit_code, "accepted" in again.output) == (0, True)
    assert "coordinator status nightly-7" in command("coordinator dead-letters show nightly-7").stdout
    assert command("coordinator dead-letters resubmit nightly-7 --request-id other").exit_code == 2
    assert command("coordinator runs --json").stdout.count('"request_id": "nightly-7"') == 2  # of one run: twice in it


def test_every_command_that_the_section_names_exists(command: Command) -> None:
    named = set(re.findall(r"`coordinator (dead-letters \w+|audit \w+|\w+)", section()))
    assert named
    for name in named:
        assert command(f"coordinator {name} --help").exit_code == 0
