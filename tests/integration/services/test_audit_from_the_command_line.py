"""`coordinator audit …` against the real service on a real database: its routes are the coordinator's."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.app import app as command_line
from tests.integration.databases import Database
from tests.integration.services.serving import serving, wait_for

Command = Callable[..., Result]
EVENTS = 250


@pytest.fixture
def kept_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "audit"
    monkeypatch.setenv("AUDIT_FOLDER", str(folder))
    return folder


@pytest.fixture
def command(audit: Database, kept_outside: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """With the service running, as its own coordinator."""
    record(audit, EVENTS)
    with serving(audit) as url:
        monkeypatch.setenv("COORDINATOR_URL", url)
        monkeypatch.setenv("COLUMNS", "200")
        yield lambda *arguments: CliRunner().invoke(command_line, ["audit", *arguments])


def record(audit: Database, count: int) -> None:
    fresh = {"event_type": "revision.applied", "occurred_at": "2026-01-02T03:04:05.6Z", "source": "cds-task/journal"}
    facts = {"request_id": "release-41", "service": "cds-task", "detail": {"revision": "task_0004"}}
    events = [{**fresh, **facts, "event_id": str(uuid4())} for _ in range(count)]
    with audit.connect() as connection:
        connection.execute("SELECT audit.append_events(%s::jsonb)", [json.dumps(events)])


def signed(command: Command, folder: Path) -> tuple[str, str]:
    """The keys and the anchors that are kept outside the database, once everything is signed."""
    wait_for(lambda: json.loads(command("verify", "--json").stdout).get("anchored_seq") == EVENTS)
    [keys], [anchors] = folder.rglob("audit-keys-*.json"), folder.rglob("anchors-*.jsonl")
    return str(keys), str(anchors)


def test_an_export_is_verified_with_what_is_kept_outside_and_without_the_service(
    command: Command, kept_outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "audit.jsonl")
    keys, anchors = signed(command, kept_outside)
    result = command("export", "-o", file, "--keys", keys, "--anchors", anchors)
    assert result.exit_code == 0, result.output
    assert f"OK. {EVENTS} events, 1 to {EVENTS}, are one chain; signed up to {EVENTS}, at 20" in result.stdout
    monkeypatch.setenv("COORDINATOR_URL", "http://127.0.0.1:9")
    assert command("verify", file, "--keys", keys, "--anchors", anchors).exit_code == 0


def test_an_orderly_stop_signs_what_is_left(audit: Database, kept_outside: Path) -> None:
    with serving(audit):
        wait_for(lambda: list(kept_outside.rglob("audit-keys-*.json")))
        record(audit, 3)
    [anchors] = kept_outside.rglob("anchors-*.jsonl")
    assert json.loads(anchors.read_text())["anchor"].split("|")[2] == "3"


def test_a_part_is_exported_by_numbers_and_by_moments(command: Command, kept_outside: Path, tmp_path: Path) -> None:
    keys, _ = signed(command, kept_outside)
    for name, bounds, count in (
        ("numbers", ("--from", "101", "--to", "120"), 20),
        ("since", ("--from", "2026-01-01"), EVENTS),
        ("until", ("--to", "2999-01-01"), EVENTS),
    ):
        result = command("export", "-o", str(tmp_path / name), "--keys", keys, "--json", *bounds)
        verdict = json.loads(result.stdout)
        assert (result.exit_code, verdict["ok"], verdict["events"]) == (0, True, count)
    assert command("export", "-o", str(tmp_path / "late"), "--from", "2999-01-01").exit_code == 2
    assert not (tmp_path / "late").exists()


def test_the_proof_of_one_event_is_small_and_verifies_with_the_key_alone(
    command: Command, kept_outside: Path, tmp_path: Path
) -> None:
    keys, _ = signed(command, kept_outside)
    event_id = json.loads(command("show", "--event", "57", "--json").stdout)["event_id"]
    for number, name in enumerate(("57", event_id)):
        file = tmp_path / f"proof-{number}.json"
        assert command("proof", name, "-o", str(file), "--keys", keys).exit_code == 0
        assert file.stat().st_size < 8192
        assert command("verify", str(file), "--keys", keys).exit_code == 0


def test_tampering_as_superuser_is_found_live_and_in_the_export_that_is_made_then(
    command: Command, kept_outside: Path, tmp_path: Path, audit: Database
) -> None:
    keys, anchors = signed(command, kept_outside)
    with audit.connect() as connection:
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        connection.execute("UPDATE audit_events SET actor = 'mallory' WHERE seq = 57")
    result = command("verify")
    assert (result.exit_code, "First bad seq: 57." in result.stdout) == (1, True)
    result = command("export", "-o", str(tmp_path / "audit.jsonl"), "--keys", keys, "--anchors", anchors)
    assert (result.exit_code, "First bad seq: 57." in result.stdout) == (1, True)


def test_missing_events_are_found_live_and_in_the_export_that_is_made_then(
    command: Command, kept_outside: Path, tmp_path: Path, audit: Database
) -> None:
    signed(command, kept_outside)
    with audit.connect() as connection:
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM audit_events WHERE seq BETWEEN 57 AND 60")
    for result in (command("export", "-o", str(tmp_path / "audit.jsonl")), command("verify")):
        assert (result.exit_code, "First bad seq: 61." in result.stdout) == (1, True)


def test_the_list_and_the_story_show_what_was_recorded(command: Command) -> None:
    newest = json.loads(command("list", "--newest", "--revision", "task_0004", "--limit", "2", "--json").stdout)
    assert [event["seq"] for event in newest["events"]] == [EVENTS, EVENTS - 1]
    assert "applied task_0004" in command("show", "release-41").stdout
    assert command("show", "nobody").exit_code == 2


def begin_an_export(url: str) -> socket.socket:
    """By a caller that reads no further than the first bytes."""
    at = urlsplit(url)
    caller = socket.create_connection((at.hostname or "", at.port or 0))
    caller.sendall(b"GET /audit/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert caller.recv(15) == b"HTTP/1.1 200 OK"
    return caller


def status_of_an_export(url: str) -> int:
    with httpx.stream("GET", f"{url}/audit/export", timeout=20) as answer:
        return answer.status_code


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("goes_away", [True, False])
def test_callers_that_go_away_or_stop_reading_keep_nobody_from_exporting(
    audit: Database, monkeypatch: pytest.MonkeyPatch, goes_away: bool
) -> None:
    url = os.environ["COORDINATOR_URL"]
    for _ in range(12):
        record(audit, 1000)  # more than the sockets between hold
    monkeypatch.setattr("services.cas_service.api.evidence.UNREAD_SECONDS", 60.0 if goes_away else 2.0)
    callers = [begin_an_export(url), begin_an_export(url)]
    try:
        assert status_of_an_export(url) == 503
        if goes_away:
            for caller in callers:
                caller.close()
        wait_for(lambda: status_of_an_export(url) == 200)
    finally:
        for caller in callers:
            caller.close()
