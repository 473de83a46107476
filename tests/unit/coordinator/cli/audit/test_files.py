"""Exports and proofs as files: fetched whole or not at all, and judged without any server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.cli.audit import export_download
from tests.unit.audit_verifier.audits import Audit, Signer
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem

ROUTE = "GET /audit/export"
LINES = Audit().record("{}", "{}").sign().record("{}", '"é\u2028"').sign().record("{}").export()
HEADER, END = LINES[0], LINES[-1]
FIRST_ANCHOR, SECOND_ANCHOR = 3, 6  # their lines
WHOLE = b"".join(LINES)


def ending(events: int) -> bytes:
    """The last line of a piece that has so many events."""
    end = json.loads(END)["end"]
    return json.dumps({"end": {**end, "events": events}}, separators=(",", ":")).encode() + b"\n"


EXPORT = b"".join([*LINES[:-1], ending(5)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_download, "PAUSE_SECONDS", 0)


@pytest.fixture
def audit(coordinator: ScriptedCoordinator) -> ScriptedCoordinator:
    coordinator.answers("GET /audit/events", (200, {"events": [{"seq": 5}]}))
    return coordinator


def asked(coordinator: ScriptedCoordinator) -> list[dict[str, str]]:
    return [each.parameters for each in coordinator.asked if each.path == "/audit/export"]


def export(command: RunCommand, file: Path, *arguments: str) -> int:
    return command("audit", "export", "-o", str(file), *arguments).exit_code


def test_an_export_is_written_as_it_came_and_verified(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    audit.answers(ROUTE, (200, WHOLE))
    result = command("audit", "export", "-o", str(file))
    assert (result.exit_code, file.read_bytes(), asked(audit)) == (0, EXPORT, [{"from": "1"}])
    assert "OK. 5 events, 1 to 5, are one chain; signed up to 4, at 2026-01-02 03:04:05 UTC." in result.stdout
    assert "No anchor signs events 5 to 5 yet" in result.stdout


CUTS = {
    "after_a_signed_line": (FIRST_ANCHOR + 2, b"", 2),
    "within_a_line": (FIRST_ANCHOR + 2, LINES[FIRST_ANCHOR + 2][:50], 2),
    "before_an_anchor": (SECOND_ANCHOR, b"", 2),
    "after_the_last_anchor": (SECOND_ANCHOR + 2, b"", 4),
}


@pytest.mark.parametrize(("lines", "rest", "kept"), CUTS.values(), ids=CUTS.keys())
def test_a_cut_export_goes_on_after_the_last_line_that_was_signed(
    audit: ScriptedCoordinator, command: RunCommand, file: Path, lines: int, rest: bytes, kept: int
) -> None:
    tail = LINES[(FIRST_ANCHOR if kept == 2 else SECOND_ANCHOR) + 1 : -1]
    second = b"".join([HEADER, *tail, ending(5 - kept)])
    audit.answers(ROUTE, (200, b"".join(LINES[:lines]) + rest), (200, second))
    assert export(command, file) == 0
    assert file.read_bytes() == EXPORT
    assert asked(audit) == [{"from": "1"}, {"from": str(kept + 1)}]


UNSIGNED_YET = {"nothing": 0, "its_header": 1, "before_any_anchor": 3, "before_what_follows_the_anchor": 4}


@pytest.mark.parametrize("lines", UNSIGNED_YET.values(), ids=UNSIGNED_YET.keys())
def test_an_export_cut_before_it_is_worth_keeping_begins_again(
    audit: ScriptedCoordinator, command: RunCommand, file: Path, lines: int
) -> None:
    audit.answers(ROUTE, (200, b"".join(LINES[:lines])), (200, WHOLE))
    assert export(command, file) == 0
    assert file.read_bytes() == EXPORT
    assert asked(audit) == [{"from": "1"}, {"from": "1"}]


def test_nothing_stays_of_what_is_written_again(audit: ScriptedCoordinator, command: RunCommand, file: Path) -> None:
    audit.answers(ROUTE, (200, b"".join(Audit().record('"long"' * 900).export()[:-1])), (200, WHOLE))
    assert export(command, file) == 0
    assert file.read_bytes() == EXPORT


def test_an_answer_that_the_connection_takes_with_it_is_a_cut_one(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    audit.answers(ROUTE, (0, None), (200, WHOLE))
    assert export(command, file) == 0


def test_an_audit_still_busy_with_what_was_cut_is_asked_again(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    begun, rest = b"".join(LINES[:5]), b"".join([HEADER, *LINES[4:-1], ending(3)])
    audit.answers(ROUTE, (200, begun), (503, problem("CM-526", "busy", retryable=True)), (200, rest))
    assert export(command, file) == 0
    assert file.read_bytes() == EXPORT


def test_an_export_cut_again_and_again_leaves_no_file(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    audit.answers(ROUTE, (200, b"".join(LINES[:3])))
    result = command("audit", "export", "-o", str(file))
    assert result.exit_code == 3
    assert "cut 3 times after event 2" in result.stderr
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("last", [b'{"end": []}\n', b'{"end": {"eve\n', b'{"segment": 1}\n'])
def test_an_export_that_cannot_be_read_is_no_traceback(
    audit: ScriptedCoordinator, command: RunCommand, file: Path, last: bytes
) -> None:
    audit.answers(ROUTE, (200, HEADER + last))
    result = command("audit", "export", "-o", str(file))
    assert (result.exit_code, list(file.parent.iterdir())) == (3, [])
    assert "its export cannot be read" in result.stderr


def test_a_refusal_is_told_at_once(audit: ScriptedCoordinator, command: RunCommand, file: Path) -> None:
    audit.answers(ROUTE, (503, problem("CM-522", "not ready", retryable=True)))
    assert (export(command, file), len(asked(audit)), file.exists()) == (3, 1, False)


def test_what_was_exported_once_is_not_overwritten_unless_forced(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    audit.answers(ROUTE, (200, WHOLE))
    file.write_text("evidence")
    assert (export(command, file), file.read_text(), asked(audit)) == (2, "evidence", [])
    assert export(command, file, "--force") == 0
    assert file.read_bytes() == EXPORT


def test_a_folder_that_is_not_there_is_said_before_anything_is_fetched(
    audit: ScriptedCoordinator, command: RunCommand, tmp_path: Path
) -> None:
    assert export(command, tmp_path / "nowhere" / "audit.jsonl") == 2
    assert audit.asked == []


def test_an_export_that_does_not_hold_names_the_first_bad_seq_and_stays_as_evidence(
    audit: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    audit.answers(ROUTE, (200, tampered(LINES)))
    result = command("audit", "export", "-o", str(file))
    assert (result.exit_code, file.exists()) == (1, True)
    assert "First bad seq: 2." in result.stdout


def tampered(lines: Sequence[bytes]) -> bytes:
    return b"".join([*lines[:2], lines[2].replace(b'"{}"', b'"{ }"'), *lines[3:]])


def test_moments_become_numbers(coordinator: ScriptedCoordinator, command: RunCommand, file: Path) -> None:
    coordinator.answers(
        "GET /audit/events",
        (200, {"events": [{"seq": 5}]}),
        (200, {"events": [{"seq": 1}]}),
        (200, {"events": [{"seq": 5}]}),
    )
    coordinator.answers(ROUTE, (200, WHOLE))
    assert export(command, file, "--from", "2026-10-01", "--to", "2026-11-01T12:00+02:00") == 0
    assert asked(coordinator) == [{"from": "1", "to": "5"}]
    assert [each.parameters for each in coordinator.asked if each.path == "/audit/events"] == [
        {"order": "newest", "limit": "1"},
        {"from": "2026-10-01T00:00:00+00:00", "limit": "1"},
        {"to": "2026-11-01T12:00:00+02:00", "order": "newest", "limit": "1"},
    ]


@pytest.mark.parametrize("bound", ["yesterday", "2026-13-01", "-5", "1.5"])
def test_what_is_neither_number_nor_moment_is_bad_input(
    audit: ScriptedCoordinator, command: RunCommand, file: Path, bound: str
) -> None:
    assert export(command, file, f"--from={bound}") == 2
    assert asked(audit) == []


# --- without any server -----------------------------------------------------------------------------------------------


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_URL", "http://127.0.0.1:9")


def keys(folder: Path, signer: int = 1) -> str:
    file = folder / "audit-keys.json"
    file.write_text(json.dumps(Audit(Signer(signer)).keys))
    return str(file)


@pytest.mark.usefixtures("nobody")
def test_a_file_is_verified_without_any_server(command: RunCommand, file: Path, tmp_path: Path) -> None:
    file.write_bytes(WHOLE)
    result = command("audit", "verify", str(file), "--keys", keys(tmp_path))
    assert result.exit_code == 0
    assert "OK. 5 events, 1 to 5, are one chain; signed up to 4, at 2026-01-02 03:04:05 UTC." in result.stdout
    assert "No trusted keys" not in result.stdout


BAD_FILES = {
    "changed": (tampered(LINES), 2, "changed"),
    "missing": (b"".join([*LINES[:4], *LINES[5:]]), 4, "missing"),
    "cut": (b"".join(LINES[:-1]), 6, "cut"),
}


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("content", "first_bad_seq", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_does_not_hold_ends_with_one_and_names_where(
    command: RunCommand, file: Path, content: bytes, first_bad_seq: int, reason: str
) -> None:
    file.write_bytes(content)
    document = json.loads(command("audit", "verify", str(file), "--json").stdout)
    assert (document["ok"], document["first_bad_seq"], document["reason"]) == (False, first_bad_seq, reason)
    result = command("audit", "verify", str(file))
    assert result.exit_code == 1
    assert f"First bad seq: {first_bad_seq}." in result.stdout


@pytest.mark.usefixtures("nobody")
def test_a_file_that_somebody_else_signed_does_not_hold(command: RunCommand, file: Path, tmp_path: Path) -> None:
    file.write_bytes(WHOLE)
    result = command("audit", "verify", str(file), "--keys", keys(tmp_path, signer=2))
    assert result.exit_code == 1
    assert "somebody else signed" in result.stdout


@pytest.mark.usefixtures("nobody")
def test_anchors_kept_outside_show_a_tail_that_was_cut_before_the_export(
    command: RunCommand, file: Path, tmp_path: Path
) -> None:
    signed = Audit().record("{}", "{}").sign().record("{}").sign()
    outside = tmp_path / "anchors.jsonl"
    outside.write_text("".join(json.dumps({"anchor": a.line, "signature": a.signature}) + "\n" for a in signed.anchors))
    file.write_bytes(b"".join(Audit().record("{}", "{}").sign().export()))
    assert command("audit", "verify", str(file), "--keys", keys(tmp_path)).exit_code == 0
    result = command("audit", "verify", str(file), "--keys", keys(tmp_path), "--anchors", str(outside))
    assert result.exit_code == 1
    assert "The tail is cut" in result.stdout


@pytest.mark.usefixtures("nobody")
def test_anchors_that_nobody_signed_are_said_before_anything_else(
    command: RunCommand, file: Path, tmp_path: Path
) -> None:
    [anchor] = Audit(Signer(2)).record("{}").sign().anchors
    outside = tmp_path / "anchors.jsonl"
    outside.write_text(json.dumps({"anchor": anchor.line, "signature": anchor.signature}) + "\n")
    file.write_bytes(WHOLE)
    result = command("audit", "verify", str(file), "--keys", keys(tmp_path), "--anchors", str(outside))
    assert result.exit_code == 1
    assert "NOT OK (anchor). The anchor at seq 1 is not signed by a key that may sign it." in result.stdout


@pytest.mark.usefixtures("nobody")
def test_keys_that_do_not_introduce_each_other_are_no_trusted_keys(
    command: RunCommand, file: Path, tmp_path: Path
) -> None:
    document = Audit().rotate(Signer(2)).keys
    document["keys"][1]["signed_by_old"] = document["keys"][1]["signed_by_new"]
    trusted = tmp_path / "audit-keys.json"
    trusted.write_text(json.dumps(document))
    file.write_bytes(WHOLE)
    result = command("audit", "verify", str(file), "--keys", str(trusted))
    assert result.exit_code == 1
    assert "NOT OK (keys)" in result.stdout


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("content", [b"", b"{}", b"{", b"\xff", b"[1]\n", None])
def test_what_cannot_be_verified_is_bad_input(command: RunCommand, file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    result = command("audit", "verify", str(file))
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert "There is nothing that can be verified" in result.stderr


# --- the proof of one event -------------------------------------------------------------------------------------------

PROOF = Audit().record("{}", '"\x1b[2Jé"', "{}").sign().proof(2)


def test_a_proof_is_written_on_one_line_and_verified(
    coordinator: ScriptedCoordinator, command: RunCommand, file: Path, tmp_path: Path
) -> None:
    coordinator.answers("GET /audit/proof/2", (200, PROOF))
    result = command("audit", "proof", "2", "-o", str(file), "--keys", keys(tmp_path))
    assert result.exit_code == 0
    assert "Event 2 is among those signed by the anchor at seq 3." in result.stdout
    assert (file.read_bytes().count(b"\n"), json.loads(file.read_bytes())) == (1, PROOF)
    assert command("audit", "verify", str(file), "--keys", keys(tmp_path)).exit_code == 0


def test_a_proof_can_be_piped_and_acts_on_no_terminal(
    coordinator: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    coordinator.answers("GET /audit/proof/2", (200, PROOF))
    shown = command("audit", "proof", "2").stdout
    assert shown.isascii()
    assert "\x1b" not in shown
    file.write_text(shown)
    assert command("audit", "verify", str(file)).exit_code == 0


def test_a_proof_that_does_not_hold_is_said(coordinator: ScriptedCoordinator, command: RunCommand, file: Path) -> None:
    coordinator.answers("GET /audit/proof/2", (200, {**PROOF, "index": 0}))
    result = command("audit", "proof", "2", "-o", str(file))
    assert result.exit_code == 1
    assert "NOT OK" in result.stdout


def test_an_event_not_signed_yet_has_no_proof_and_leaves_no_file(
    coordinator: ScriptedCoordinator, command: RunCommand, file: Path
) -> None:
    coordinator.answers("GET /audit/proof/2", (409, problem("CM-525", "The event is not signed yet")))
    result = command("audit", "proof", "2", "-o", str(file))
    assert (result.exit_code, file.exists()) == (2, False)
    assert "CM-525" in result.stderr
