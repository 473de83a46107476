"""A small audit made without a database: events, signed anchors, and what is exported of them."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit_verifier.verify import (
    NOTHING,
    Anchor,
    event_hash,
    event_line,
    key_id,
    merkle_path,
    merkle_root,
    payload_hash,
)

CHAIN = "0f2c6f0e-5d5e-4a52-9d39-000000000041"
TIME = "2026-01-02T03:04:05.000006Z"


class Signer:
    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = b64encode(raw).decode()
        self.key_id = key_id(self.public_key)

    def sign(self, line: str) -> str:
        return b64encode(self.private.sign(line.encode())).decode()


@dataclass
class Audit:
    """Events are (seq, recorded_at, prev_hash, hash, payload)."""

    signer: Signer = field(default_factory=lambda: Signer(1))
    events: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = {"format": "audit-keys-1", "chain_id": CHAIN, "keys": [{"public_key": self.signer.public_key}]}

    def record(self, *payloads: str) -> Audit:
        for payload in payloads:
            seq, prev_hash = len(self.events) + 1, self.events[-1][3] if self.events else NOTHING
            hash = event_hash(prev_hash, seq, TIME, payload_hash(payload))
            self.events.append((seq, TIME, prev_hash, hash, payload))
        return self

    def sign(self) -> Audit:
        before = self.anchors[-1].seq if self.anchors else 0
        hashes = [event[3] for event in self.events[before:]]
        previous = self.anchors[-1].sha256 if self.anchors else NOTHING
        facts = (CHAIN, self.events[-1][0], hashes[-1], len(hashes), merkle_root(hashes), previous, TIME)
        line = "|".join(map(str, ("audit-anchor-1", *facts, self.signer.key_id)))
        self.anchors.append(Anchor.read({"anchor": line, "signature": self.signer.sign(line)}))
        return self

    def rotate(self, new: Signer) -> Audit:
        after = self.anchors[-1].seq if self.anchors else 0
        facts = (CHAIN, after, self.signer.key_id, new.key_id, new.public_key, TIME)
        line = "|".join(map(str, ("audit-rotation-1", *facts)))
        introduced = {"rotation": line, "signed_by_old": self.signer.sign(line), "signed_by_new": new.sign(line)}
        self.keys["keys"].append({"public_key": new.public_key, **introduced})
        self.signer = new
        return self

    def replace_lost(self, new: Signer) -> Audit:
        """As rotate, but the old key is not there to introduce the new one."""
        after = self.anchors[-1].seq if self.anchors else 0
        facts = (CHAIN, after, self.signer.key_id, new.key_id, new.public_key, TIME)
        line = "|".join(map(str, ("audit-replacement-1", *facts)))
        introduced = {"rotation": line, "signed_by_old": "", "signed_by_new": new.sign(line)}
        self.keys["keys"].append({"public_key": new.public_key, **introduced})
        self.signer = new
        return self

    def export(self) -> list[bytes]:
        header = {"format": "audit-export-1", "chain_id": CHAIN, "exported_at": TIME, "from_seq": 1, "to_seq": None}
        lines = [json.dumps({**header, "prev_hash": NOTHING, "previous_anchor": None, "keys": self.keys})]
        anchors = {anchor.seq: anchor for anchor in self.anchors}
        for event in self.events:
            lines.append(event_line(*event))
            if anchor := anchors.get(event[0]):
                lines.append(json.dumps(signed(anchor)))
        last_seq, last_hash = (self.events[-1][0], self.events[-1][3]) if self.events else (0, NOTHING)
        lines.append(json.dumps({"end": {"events": len(self.events), "last_seq": last_seq, "last_hash": last_hash}}))
        return [line.encode() + b"\n" for line in lines]

    def proof(self, seq: int) -> dict[str, Any]:
        anchor = next(each for each in self.anchors if each.seq >= seq)
        first = anchor.seq - anchor.count + 1
        hashes = [event[3] for event in self.events[first - 1 : anchor.seq]]
        path = merkle_path(hashes, seq - first)
        event = event_line(*self.events[seq - 1])
        shown = {"format": "audit-proof-1", "event": event, "index": seq - first, "path": path}
        return {**shown, **signed(anchor), "keys": self.keys}

    def outside(self) -> dict[int, Anchor]:
        return {anchor.seq: anchor for anchor in self.anchors}


def signed(anchor: Anchor) -> dict[str, str]:
    return {"anchor": anchor.line, "signature": anchor.signature}
