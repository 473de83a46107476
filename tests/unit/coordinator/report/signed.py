"""Events signed as the audit signs them, with a key that a test has made."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit_verifier import verify
from coordinator.report.inputs import ReportedEvent

CHAIN = "6c1bdb8e-9a55-4c1c-9d3e-0c0f4a2f9f10"
AT = "2026-11-22T15:00:41.200000Z"
OTHERS = ["1" * 64, "2" * 64, "3" * 64]


def keys_of(key: Ed25519PrivateKey) -> dict[str, Any]:
    public = b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return {"format": "audit-keys-1", "chain_id": CHAIN, "keys": [{"public_key": public}]}


def proof(event: ReportedEvent, key: Ed25519PrivateKey) -> dict[str, Any]:
    """As the audit gives it, for the first of four events."""
    facts = event.model_dump(mode="json", exclude={"seq", "recorded_at"})
    return proof_of(json.dumps({"format": "audit-payload-1", **facts}), key)


def proof_of(payload: str, key: Ed25519PrivateKey) -> dict[str, Any]:
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
