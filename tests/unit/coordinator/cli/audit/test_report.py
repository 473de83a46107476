"""`coordinator audit report`: what it asks for, what it writes, and when it warns."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem
from tests.unit.coordinator.report.signed import keys_of, proof
from tests.unit.coordinator.report.story import event

KEY = Ed25519PrivateKey.generate()
EVENT = event(1, "migration.requested", actor="ada", detail={"actor_basis": "claimed", "services": "all"})
WHOLE = {"ok": True, "events": 4, "first_seq": 1, "last_seq": 4, "anchored_seq": 4}


@pytest.fixture
def fleet(coordinator: ScriptedCoordinator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedCoordinator:
    """Holds one event that asks for release-41, signed, and no run record."""
    monkeypatch.chdir(tmp_path)
    coordinator.answers("GET /audit/events", (200, {"events": [EVENT.model_dump(mode="json")], "next_cursor": None}))
    coordinator.answers(f"GET /audit/proof/{EVENT.event_id}", (200, proof(EVENT, KEY)))
    coordinator.answers("GET /audit/verify", (200, WHOLE))
    return coordinator


def test_by_default_it_writes_a_pdf_named_after_the_run(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    result = command("audit", "report", "--run", "release-41")
    assert result.exit_code == 0, result.output
    assert Path("migration-report-release-41.pdf").read_bytes().startswith(b"%PDF-")


def test_html_goes_to_standard_output_and_nothing_else_does(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    result = command("audit", "report", "--run", "release-41", "--html", "-")
    assert result.stdout.lstrip().startswith("<!doctype html>")
    assert result.stdout.rstrip().endswith("</html>")
    assert list(Path().iterdir()) == []


def test_every_event_of_a_long_run_is_read(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    pages = [event(seq, "migration.step_started", "cds-client").model_dump(mode="json") for seq in (1, 2)]
    fleet.answers(
        "GET /audit/events", (200, {"events": pages[:1], "next_cursor": "more"}), (200, {"events": pages[1:]})
    )
    document = json.loads(command("audit", "report", "--run", "release-41", "--json").stdout)
    assert "migration.step_started" in str(document["sections"][7])
    assert [asked.parameters.get("cursor") for asked in fleet.asked if asked.path == "/audit/events"] == [None, "more"]


def test_keys_of_the_reader_are_the_ones_that_count(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    Path("mine.json").write_text(json.dumps(keys_of(KEY)))
    Path("others.json").write_text(json.dumps(keys_of(Ed25519PrivateKey.generate())))
    mine = command("audit", "report", "--run", "release-41", "--keys", "mine.json", "--html", "-")
    others = command("audit", "report", "--run", "release-41", "--keys", "others.json", "--html", "-")
    assert (mine.exit_code, others.exit_code) == (0, 1)
    assert "Every event is proven" in mine.stdout
    assert "mine.json" in mine.stdout
    assert "Events contradict their proof" in others.stdout


@pytest.mark.parametrize(
    ("route", "answer"),
    [
        (
            "GET /audit/verify",
            {"ok": False, "first_bad_seq": 3, "sentence": "Event 3 was changed."},
        ),
        (f"GET /audit/proof/{EVENT.event_id}", {"format": "audit-proof-1"}),
    ],
)
def test_a_report_that_the_evidence_contradicts_is_written_and_warned_of(
    fleet: ScriptedCoordinator, command: RunCommand, route: str, answer: dict[str, Any]
) -> None:
    fleet.answers(route, (200, answer))
    result = command("audit", "report", "--run", "release-41", "--pdf", "told.pdf")
    assert result.exit_code == 1
    assert "The evidence contradicts" in result.stderr
    assert Path("told.pdf").exists()


def test_an_event_without_a_proof_yet_is_no_contradiction(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    fleet.answers(f"GET /audit/proof/{EVENT.event_id}", (404, problem("CM-604", "Not anchored yet")))
    result = command("audit", "report", "--run", "release-41", "--html", "-")
    assert result.exit_code == 0
    assert "0 of 1 events are covered by a signed anchor" in result.stdout


def test_a_request_that_nobody_knows_is_no_report(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    fleet.answers("GET /audit/events", (200, {"events": []}))
    result = command("audit", "report", "--run", "release-41")
    assert result.exit_code == 2
    assert "CM-604" in result.stderr
    assert "Nothing is known of this request" in result.stderr
    assert list(Path().iterdir()) == []


def test_a_report_that_is_there_is_kept_unless_forced(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    Path("told.html").write_text("evidence")
    kept = command("audit", "report", "--run", "release-41", "--html", "told.html")
    assert (kept.exit_code, Path("told.html").read_text()) == (2, "evidence")
    assert command("audit", "report", "--run", "release-41", "--html", "told.html", "--force").exit_code == 0
    assert Path("told.html").read_text() != "evidence"


def test_standard_output_takes_one_thing(fleet: ScriptedCoordinator, command: RunCommand) -> None:
    assert command("audit", "report", "--run", "release-41", "--html", "-", "--pdf", "-").exit_code == 2
    assert command("audit", "report", "--run", "release-41", "--html", "-", "--json").exit_code == 2


@pytest.mark.parametrize("keys", ["nowhere.json", "rubbish.json"])
def test_keys_that_cannot_be_read_are_said_before_anything_is_asked(
    fleet: ScriptedCoordinator, command: RunCommand, keys: str
) -> None:
    Path("rubbish.json").write_text("[]")
    result = command("audit", "report", "--run", "release-41", "--keys", keys)
    assert result.exit_code == 2
    assert "The keys cannot be read" in result.stderr
    assert fleet.asked == []


@pytest.mark.parametrize(("package", "module"), [("typst", "pdf"), ("jinja2", "html")])
def test_what_is_missing_to_print_is_said_in_one_sentence(
    fleet: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch, package: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"coordinator.report.{module}", raising=False)
    result = command("audit", "report", "--run", "release-41", f"--{module}", "told")
    assert result.exit_code == 2
    assert f"the package {package} is not installed" in result.stderr
    assert "extras: audit, report" in result.stderr


def test_without_keys_of_the_reader_all_proofs_must_name_the_same(
    fleet: ScriptedCoordinator, command: RunCommand
) -> None:
    """A forger who signs one event with a key of his own sends that key along."""
    other = event(1, "migration.started")
    other = other.model_copy(update={"event_id": "00000000-0000-5000-8000-000000000009"})
    events = [each.model_dump(mode="json") for each in (EVENT, other)]
    fleet.answers("GET /audit/events", (200, {"events": events}))
    fleet.answers(f"GET /audit/proof/{other.event_id}", (200, proof(other, Ed25519PrivateKey.generate())))
    result = command("audit", "report", "--run", "release-41", "--html", "-")
    assert result.exit_code == 1
    assert "The keys are not the trusted ones" in result.stdout
