"""The public keys of an issuer of tokens, out of its JWK set (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LONGEST_SET = 1024 * 1024  # bytes
MOST_KEYS = 100  # of one set; issuers have two or three
SMALLEST_RSA_BITS = 2048

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
# What each kind of key may sign. There is no kind with a secret in it, and none for `none`.
ALGORITHMS_OF = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
ALGORITHMS = frozenset(name for names in ALGORITHMS_OF.values() for name in names)


class BadJwks(Exception):
    """This is no JWK set with a key that can be used. The sentence holds nothing of it."""


@dataclass(frozen=True)
class TokenKey:
    """One public key, and the algorithms that it may be used with: the key decides, never the token."""

    public: PublicKey
    algorithms: frozenset[str]


def read_jwks(content: bytes) -> dict[str, TokenKey]:
    """The keys by their `kid`. Raises BadJwks. A key that cannot be used is left out, and the others stay good."""
    if len(content) > LONGEST_SET:
        raise BadJwks("it is larger than 1 MiB")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadJwks("it is not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise BadJwks("it is no JWK set")
    keys: dict[str, TokenKey] = {}
    for entry in entries[:MOST_KEYS]:
        if isinstance(entry, dict) and isinstance(kid := entry.get("kid"), str) and (key := _read_key(entry)):
            keys.setdefault(kid, key)
    if not keys:
        raise BadJwks("it has no public key with a kid that can be used")
    return keys


def _read_key(entry: Mapping[str, Any]) -> TokenKey | None:
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        possible = ALGORITHMS_OF.get((entry.get("kty", ""), entry.get("crv")), ())
        algorithms = frozenset(possible) & {entry.get("alg", name) for name in possible}
        public = jwt.PyJWK(dict(entry), possible[0]).key if algorithms else None
    except (jwt.PyJWTError, UnsupportedAlgorithm, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if not isinstance(public, PublicKey) or (isinstance(public, RSAPublicKey) and public.key_size < SMALLEST_RSA_BITS):
        return None  # a private key that somebody published proves nobody
    return TokenKey(public, algorithms)
