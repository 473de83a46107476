"""A report calls an event proven only when the stand-alone verifier agrees that this very event was signed."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_verifier import verify
from coordinator.report.inputs import Proof, ReportedEvent
from coordinator.report.proof_check import checked_proof
from tests.unit.coordinator.report.signed import keys_of, proof, proof_of
from tests.unit.coordinator.report.story import EVENTS

EVENT = EVENTS[0].model_copy(update={"seq": 1})


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def checked(event: ReportedEvent, document: Any, key: Ed25519PrivateKey) -> Proof:
    return checked_proof(event, document, verify.Keys(keys_of(key)))


def test_an_event_that_was_signed_is_proven(key: Ed25519PrivateKey) -> None:
    found = checked(EVENT, proof(EVENT, key), key)
    assert found.anchor is not None
    assert found.anchor.seq == 4
    assert not found.forged


@pytest.mark.parametrize(
    "shown",
    [{"actor": "somebody else"}, {"detail": {}}, {"outcome": "succeeded"}, {"seq": 2}],
    ids=lambda shown: next(iter(shown)),
)
def test_the_proof_of_another_event_proves_nothing(key: Ed25519PrivateKey, shown: dict[str, Any]) -> None:
    found = checked(EVENT.model_copy(update=shown), proof(EVENT, key), key)
    assert found.forged
    assert found.trouble == "the proof is that of another event"
    assert found.anchor is None


def test_a_key_that_is_not_trusted_signs_nothing(key: Ed25519PrivateKey) -> None:
    found = checked(EVENT, proof(EVENT, Ed25519PrivateKey.generate()), key)
    assert found.forged
    assert found.anchor is None


def test_a_changed_payload_is_named(key: Ed25519PrivateKey) -> None:
    document = proof(EVENT, key)
    document["event"] = document["event"].replace("release-bot", "release-bat")
    assert "its hash does not fit it" in checked(EVENT, document, key).trouble


@pytest.mark.parametrize("part", ["event", "anchor", "signature", "keys", "path", "index"])
@pytest.mark.parametrize("rubbish", [None, [], "x", {}, 1e400])
def test_rubbish_is_no_proof(key: Ed25519PrivateKey, part: str, rubbish: Any) -> None:
    assert checked(EVENT, {**proof(EVENT, key), part: rubbish}, key).anchor is None


@pytest.mark.parametrize("payload", ["no JSON", "[]", '{"detail": 7}'])
def test_what_was_signed_but_is_no_event_is_no_proof(key: Ed25519PrivateKey, payload: str) -> None:
    assert checked(EVENT, proof_of(payload, key), key).forged
