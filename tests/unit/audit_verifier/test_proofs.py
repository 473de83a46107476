"""One small file proves one event to whoever has the public key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit_verifier.verify import Keys, main, verify_proof
from tests.unit.audit_verifier.audits import Audit, Signer


def audit_of(events: int) -> Audit:
    return Audit().record("first").sign().record(*(f"event {number}" for number in range(events))).sign()


@pytest.mark.parametrize("events", [1, 2, 3, 7, 100])
def test_every_signed_event_can_be_proved(events: int) -> None:
    audit = audit_of(events)
    for seq in range(1, events + 2):
        assert verify_proof(audit.proof(seq), Keys(audit.keys)).ok


def test_a_proof_is_small_enough_to_be_mailed() -> None:
    assert len(json.dumps(audit_of(10_000).proof(5000))) < 8192


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("index", 4, "moved"),
        ("path", [], "rewritten"),
        ("path", ["00" * 32] * 3, "rewritten"),
        ("path", [None, {}, "x"], "rewritten"),
        ("signature", "", "anchor"),
        ("signature", "é", "anchor"),
    ],
)
def test_a_proof_that_was_changed_proves_nothing(part: str, value: Any, reason: str) -> None:
    found = verify_proof({**audit_of(7).proof(3), part: value}, None)
    assert (found.ok, found.reason) == (False, reason)


def test_another_event_in_the_same_place_is_not_the_one_that_was_signed() -> None:
    genuine, forged = audit_of(7), Audit().record("first").sign().record(*"abcdefg").sign()
    found = verify_proof({**genuine.proof(3), "event": forged.proof(3)["event"]}, None)
    assert (found.ok, found.reason) == (False, "rewritten")


def test_a_changed_event_is_not_what_was_recorded() -> None:
    proof = audit_of(7).proof(3)
    found = verify_proof({**proof, "event": proof["event"].replace("event 1", "event 2")}, None)
    assert (found.ok, found.reason) == (False, "changed")


def test_the_proof_of_somebody_elses_audit_is_refused() -> None:
    theirs = Audit(Signer(2)).record("first").sign()
    assert not verify_proof(theirs.proof(1), Keys(audit_of(1).keys)).ok


@pytest.mark.parametrize("part", ["event", "index", "path", "anchor", "keys"])
@pytest.mark.parametrize("value", [None, 12, True, [], {}, "x", [1e999]])
def test_a_proof_of_another_form_is_one_sentence(
    part: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proof.json"
    file.write_text(json.dumps({**audit_of(7).proof(3), part: value}))
    assert main([str(file)]) in (1, 2)
    told = capsys.readouterr()
    assert (told.out + told.err).count("\n") <= 3


def test_a_proof_is_verified_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit = audit_of(5)
    proof, keys = tmp_path / "proof.json", tmp_path / "audit-keys.json"
    proof.write_text(json.dumps(audit.proof(3)))
    keys.write_text(json.dumps(audit.keys))
    assert main([str(proof), "--keys", str(keys)]) == 0
    assert capsys.readouterr().out == "OK. Event 3 is among those signed by the anchor at seq 6.\n"
