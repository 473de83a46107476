"""Names of callers and ids of keys. A name is also the name of a folder, so it never leads out of one."""

from __future__ import annotations

import re
from hashlib import sha256

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
FINGERPRINT = re.compile(r"[0-9a-f]{16}", re.ASCII)
FINGERPRINT_DIGITS = 16


class InvalidName(ValueError):
    """A name that no caller can have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:80]!r} is no name of a caller: it has 1 to 64 characters A-Z a-z 0-9 . _ - and begins with no dot."
        )


def require_name(name: str) -> str:
    """The name itself. Raises InvalidName."""
    if NAME.fullmatch(name) is None:
        raise InvalidName(name)
    return name


def fingerprint(raw_public_key: bytes) -> str:
    """What tells one public key from another: the first digits of SHA-256 of its 32 bytes."""
    return sha256(raw_public_key).hexdigest()[:FINGERPRINT_DIGITS]


def split_key_id(key_id: str) -> tuple[str, str] | None:
    """The name and the fingerprint in a key id; None if it is not of the form."""
    name, slash, digits = key_id.partition("/")
    if not slash or NAME.fullmatch(name) is None or FINGERPRINT.fullmatch(digits) is None:
        return None
    return name, digits
