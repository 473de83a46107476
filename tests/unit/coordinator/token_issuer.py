"""An issuer of tokens with keys of its own, and what strangers make of its tokens."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from coordinator.domain.tokens.identity_provider import IdentityProvider

ISSUER, AUDIENCE, SUBJECT = "https://login.bank.example/realms/ops", "migration-coordinator", "auth0|ada"
PROVIDER = IdentityProvider(issuer=ISSUER, audience=AUDIENCE, jwks="keys.json")
ALGORITHM_OF = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@cache
def private_key(kid: str) -> Any:
    """The kind of key is the beginning of its name: `rsa`, `ec`, `ed`; made once in a test run."""
    if kid.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=1024 if "short" in kid else 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kid.startswith("ec") else ed25519.Ed25519PrivateKey.generate()


def private_pem(kid: str) -> bytes:
    return private_key(kid).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(kid: str) -> bytes:
    return private_key(kid).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, /, *, private: bool = False, **changes: Any) -> dict[str, Any]:
    """As an issuer publishes it; `private` is what no issuer should publish."""
    key = private_key(kid) if private else private_key(kid).public_key()
    kind = RSAAlgorithm if kid.startswith("rsa") else ECAlgorithm if kid.startswith("ec") else OKPAlgorithm
    entry: dict[str, Any] = {**kind.to_jwk(key, as_dict=True), "kid": kid, "use": "sig"}
    entry.pop("key_ops", None)
    return {name: value for name, value in (entry | changes).items() if value != "absent"}


def jwks(*kids: str) -> bytes:
    return json.dumps({"keys": [jwk(kid) for kid in kids]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good for five minutes; `absent` takes a claim away."""
    now = int(time.time())
    plain = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 300}
    return {name: value for name, value in (plain | changes).items() if value != "absent"}


def token(
    kid: str = "ed-1", /, *, algorithm: str | None = None, header: dict[str, Any] | None = None, **of: Any
) -> str:
    """One that is taken, unless `header` or the claims `of` say otherwise."""
    algorithm = algorithm or ALGORITHM_OF[kid.split("-")[0]]
    return jwt.encode(claims(**of), private_key(kid), algorithm, {"kid": kid} | (header or {}))


def written_by_hand(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    return ".".join(encoded(part) for part in (json.dumps(header).encode(), json.dumps(payload).encode(), signature))


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
