"""A caller with a key, the memory of public keys, and a call, for the tests of signed calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signed_calls.keys import SigningKey
from signed_calls.names import split_key_id
from signed_calls.signature import Call
from signed_calls.verification import Verifier

NOW = 1_800_000_000
HERE = "cds-client"
CALL = Call("POST", "/migrations/operations?wait_seconds=5", HERE, b'{"operation_id": "release-41.cds-client.1"}')


@dataclass
class Keys:
    """Public keys in memory."""

    known: dict[tuple[str, str], Ed25519PublicKey] = field(default_factory=dict)

    def add(self, key: SigningKey) -> None:
        named = split_key_id(key.key_id)
        assert named is not None
        self.known[named] = key.private.public_key()

    def find(self, name: str, fingerprint: str) -> Ed25519PublicKey | None:
        return self.known.get((name, fingerprint))


def a_key(name: str = "migration-coordinator", number: int = 1) -> SigningKey:
    """The same key for the same number."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def a_verifier(*keys: SigningKey, audience: str = HERE, now: float = NOW) -> Verifier:
    public = Keys()
    for key in keys or (a_key(),):
        public.add(key)
    return Verifier(public, audience, clock=lambda: now)


def signed(call: Call = CALL, key: SigningKey | None = None, at: float = NOW) -> dict[str, str]:
    return (key or a_key()).sign(call, clock=lambda: at)
