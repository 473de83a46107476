"""A report calls an event proven only when the stand-alone verifier agrees that this very event was signed."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit_verifier import verify
from coordinator.report.facts import Proof, ReportedEvent
from coordinator.report.proving import checked_proof
from tests.unit.report.story import EVENTS

CHAIN = "6c1bdb8e-9a55-4c1c-9d3e-0c0f4a2f9f10"
AT = "2026-11-22T15:00:41.200000Z"
EVENT = EVENTS[0].model_copy(update={"seq": 1})
OTHERS = ["1" * 64, "2" * 64, "3" * 64]


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def keys_of(key: Ed25519PrivateKey) -> dict[str, Any]:
    public = b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return {"format": "audit-keys-1", "chain_id": CHAIN, "keys": [{"public_key": public}]}


def proof(event: ReportedEvent, key: Ed25519PrivateKey) -> dict[str, Any]:
    """As the audit gives it, for the first of four events."""
    payload = json.dumps({"format": "audit-payload-1", **event.model_dump(mode="json", exclude={"seq", "recorded_at"})})
    hash = verify.event_hash(verify.NOTHING, 1, AT, verify.payload_hash(payload))
    hashes, keys = [hash, *OTHERS], keys_of(key)
    root, name = verify.merkle_root(hashes), verify.key_id(keys["keys"][0]["public_key"])
    line = f"audit-anchor-1|{CHAIN}|4|{OTHERS[-1]}|4|{root}|{verify.NOTHING}|{AT}|{name}"
    return {
        "format": "audit-proof-1",
        "event": verify.event_line(1, AT, verify.NOTHING, hash, payload),
        "index": 0,
        "path": verify.merkle_path(hashes, 0),
        "anchor": line,
        "signature": b64encode(key.sign(line.encode())).decode(),
        "keys": keys,
    }


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
