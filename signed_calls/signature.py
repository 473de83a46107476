"""The signature itself: a strict part of RFC 9421, HTTP Message Signatures, with Ed25519.

Written here because it is a fixed form: a parser for all that the RFC allows would read what strangers send, and take
ten times as long. The tests hold it to the RFC's vectors and to a complete implementation.

`Host` is not covered, because daprd changes it; the application that the call is meant for is `call-audience`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from signed_calls.refusal import CallRefused, Refusal

DIGEST_HEADER, AUDIENCE_HEADER = "content-digest", "call-audience"
INPUT_HEADER, SIGNATURE_HEADER = "signature-input", "signature"
HEADERS = (DIGEST_HEADER, AUDIENCE_HEADER, INPUT_HEADER, SIGNATURE_HEADER)
COVERED = ("@method", "@path", "@query", DIGEST_HEADER, AUDIENCE_HEADER)
LABEL, TAG, ALGORITHM = "call", "rmbrain-call", "ed25519"
PARAMETERS = frozenset({"created", "nonce", "keyid", "alg", "tag"})

# Only what has one way to be written: no escapes, no leading zeros. So the text itself is what was signed.
_STRING = r'"[ !#-\[\]-~]*"'
_INPUT = re.compile(
    rf"(?P<label>[a-z][a-z0-9_-]*)=(?P<signed>\((?P<components>{_STRING}(?: {_STRING})*)\)"
    rf"(?P<parameters>(?:;[a-z]+=(?:{_STRING}|0|[1-9][0-9]{{0,14}}))+))",
    re.ASCII,
)
_PARAMETER = re.compile(rf";([a-z]+)=({_STRING}|[0-9]+)", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9._~+/=-]{16,64}", re.ASCII)
_SIGNATURE = re.compile(r"(?P<label>[a-z][a-z0-9_-]*)=:(?P<bytes>[A-Za-z0-9+/]{86}==):", re.ASCII)
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:", re.ASCII)
LONGEST_HEADER = 1024


@dataclass(frozen=True)
class Call:
    """What is signed of a call. `target` is path and query as they are sent, percent-encoded."""

    method: str
    target: str
    audience: str
    body: bytes = b""


@dataclass(frozen=True)
class ReceivedSignature:
    """The headers of a received call, parsed; nothing in it is proven yet."""

    key_id: str
    created: int
    nonce: str
    audience: str
    digest: str
    components: tuple[str, ...]
    signed: str  # the parameters as they were sent
    signature: bytes


def sign(call: Call, *, key_id: str, created: int, nonce: str, sign_bytes: Callable[[bytes], bytes]) -> dict[str, str]:
    """The headers to send with the call."""
    digest = digest_of(call.body)
    components = " ".join(f'"{name}"' for name in COVERED)
    signed = f'({components});created={created};nonce="{nonce}";keyid="{key_id}";alg="{ALGORITHM}";tag="{TAG}"'
    base = signature_base(COVERED, values_of(call.method, call.target, digest, call.audience), signed)
    return {
        DIGEST_HEADER: digest,
        AUDIENCE_HEADER: call.audience,
        INPUT_HEADER: f"{LABEL}={signed}",
        SIGNATURE_HEADER: f"{LABEL}=:{b64encode(sign_bytes(base)).decode()}:",
    }


def digest_of(body: bytes) -> str:
    """The value of Content-Digest (RFC 9530)."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def values_of(method: str, target: str, digest: str, audience: str) -> dict[str, str]:
    """The value of each covered component. A query that is absent and an empty one are the same, as in the RFC."""
    path, _, query = target.partition("?")
    values = (method, path or "/", f"?{query}", digest, audience)
    return dict(zip(COVERED, values, strict=True))


def signature_base(components: Iterable[str], values: Mapping[str, str], signed: str) -> bytes:
    """The bytes that are signed (RFC 9421, section 2.5). Raises ValueError if a value is not printable ASCII."""
    lines = [f'"{name}": {values[name]}' for name in components]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("a value is not printable ASCII")
    return "\n".join([*lines, f'"@signature-params": {signed}']).encode("ascii")


def read(headers: Iterable[tuple[str, str]]) -> ReceivedSignature:
    """Reads the four headers. Raises CallRefused: unsigned if all are absent, malformed for anything else."""
    found: dict[str, list[str]] = {name: [] for name in HEADERS}
    for name, value in headers:
        if (lower := name.lower()) in found:
            found[lower].append(value)
    if not found[INPUT_HEADER] and not found[SIGNATURE_HEADER]:
        raise CallRefused(Refusal.UNSIGNED)
    if any(len(values) != 1 or len(values[0]) > LONGEST_HEADER for values in found.values()):
        raise CallRefused(Refusal.MALFORMED)
    return _parse(*(found[name][0] for name in HEADERS))


def _parse(digest: str, audience: str, given: str, signature: str) -> ReceivedSignature:
    match, signed_bytes = _INPUT.fullmatch(given), _SIGNATURE.fullmatch(signature)
    if (
        match is None
        or signed_bytes is None
        or match["label"] != signed_bytes["label"]
        or not _DIGEST.fullmatch(digest)
    ):
        raise CallRefused(Refusal.MALFORMED)
    components = tuple(part.strip('"') for part in match["components"].split(" "))
    pairs = _PARAMETER.findall(match["parameters"])
    parameters = dict(pairs)
    if sorted(components) != sorted(COVERED) or len(pairs) != len(PARAMETERS) or parameters.keys() != PARAMETERS:
        raise CallRefused(Refusal.MALFORMED)
    nonce, key_id, algorithm, tag = (_text(parameters[name]) for name in ("nonce", "keyid", "alg", "tag"))
    has_form = (algorithm, tag) == (ALGORITHM, TAG) and parameters["created"].isdigit() and _NONCE.fullmatch(nonce)
    if not has_form or not key_id:
        raise CallRefused(Refusal.MALFORMED)
    return ReceivedSignature(
        key_id=key_id,
        created=int(parameters["created"]),
        nonce=nonce,
        audience=audience,
        digest=digest,
        components=components,
        signed=match["signed"],
        signature=b64decode(signed_bytes["bytes"]),
    )


def _text(value: str) -> str:
    """The string in quotes; empty if it is a number, which none of them may be."""
    return value[1:-1] if value.startswith('"') else ""
