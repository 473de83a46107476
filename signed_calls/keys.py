"""Keys as they are used: the own one that signs, and the public ones of all callers. Both follow their files."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from signed_calls import signature
from signed_calls.names import FINGERPRINT, NAME, fingerprint, require_name

LOOK_SECONDS = 1.0  # how long a changed file may go unnoticed
LONGEST_FILE = 16 * 1024
MOST_KEYS = 32  # of one caller; during a change of keys there are two

log = logging.getLogger(__name__)

# What tells that a file is another one. The time of the change, not of the content: a corrected mode counts, too.
State = tuple[str, int, int, int]


class BadKey(Exception):
    """A key cannot be used. The sentence names the place, never the content."""


@dataclass(frozen=True)
class SigningKey:
    """The key of one caller."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @cached_property
    def key_id(self) -> str:
        """Names the caller and the key in a signature."""
        return f"{self.name}/{fingerprint(self.private.public_key().public_bytes_raw())}"

    @property
    def public_text(self) -> str:
        """The public key as base64 of its 32 bytes, for a file of settings."""
        return b64encode(self.private.public_key().public_bytes_raw()).decode()

    def sign(self, call: signature.Call, *, clock: Callable[[], float] = time.time) -> dict[str, str]:
        """The headers to send with the call. Each call is signed anew, also one that is repeated."""
        return signature.sign(
            call,
            key_id=self.key_id,
            created=int(clock()),
            nonce=secrets.token_urlsafe(18),
            sign_bytes=self.private.sign,
        )


def read_signing_key(name: str, pem: bytes, place: str) -> SigningKey:
    """The key in a PEM (PKCS8). Raises BadKey; `place` says where it came from."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(f"{place} holds no private key in PEM (PKCS8) without a password.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"{place} holds a key of another kind than Ed25519.")
    return SigningKey(require_name(name), private)


class SigningKeyFile:
    """The own key in a file. A replaced file is noticed, so that a key can be changed without a restart.

    Where the new file cannot be used, the last key stays in use: a mistake while changing it stops no application.
    """

    def __init__(self, name: str, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._file, self._clock = name, file, clock
        self._looked_at = float("-inf")
        self._state: State | None = None
        self._key: SigningKey | None = None

    def current(self) -> SigningKey:
        """The key as the file has it, at most a second ago. Raises BadKey if there never was one."""
        now = self._clock()
        if self._key is None or now - self._looked_at >= LOOK_SECONDS:
            state = _state(self._file)  # before reading: what changes meanwhile is then read again
            if self._key is None or state != self._state:
                self._key = self._read_again(self._key)
            self._looked_at, self._state = now, state
        return self._key

    def _read_again(self, last: SigningKey | None) -> SigningKey:
        try:
            return read_signing_key(self._name, read_private_file(self._file), str(self._file))
        except BadKey as error:
            if last is None:
                raise
            log.warning("signing_key_not_usable", extra={"key_id": last.key_id, "why": str(error)})
            return last


def read_private_file(file: Path) -> bytes:
    """The content of a file that only we can read. Raises BadKey.

    A file of root's may be readable for our group: that is how Kubernetes mounts a secret for a process without root.
    """
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            of_root = status.st_uid == 0 != os.geteuid()
            if not stat.S_ISREG(status.st_mode) or status.st_mode & (0o037 if of_root else 0o077):
                raise BadKey(f"Others can read or change {file}; it must be a file with mode 0600.")
            return opened.read(LONGEST_FILE)
    except OSError as error:
        raise BadKey(f"{file} cannot be read: {error.strerror}.") from None


class PublicKeys:
    """The public keys of all callers: `<folder>/<name>/<any>.pub`, PEM. Each folder is looked at once a second."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._callers: dict[str, _KeysOfOne] = {}

    def find(self, name: str, digits: str) -> Ed25519PublicKey | None:
        """The key of this name and fingerprint; None if there is none."""
        if NAME.fullmatch(name) is None or FINGERPRINT.fullmatch(digits) is None:
            return None
        known, now = self._callers.get(name), self._clock()
        if known is None or now - known.looked_at >= LOOK_SECONDS:
            known = self._look(name, known, now)
        return known.keys.get(digits)

    def _look(self, name: str, known: _KeysOfOne | None, now: float) -> _KeysOfOne:
        files = _key_files(self._folder / name)
        states = [_state(file) for file in files]
        if not files:
            # Names that nobody has are not remembered: a stranger could send any number of them.
            self._callers.pop(name, None)
            return _KeysOfOne(now, states, {})
        keys = known.keys if known is not None and known.states == states else _read_keys(files)
        self._callers[name] = _KeysOfOne(now, states, keys)
        return self._callers[name]


@dataclass(frozen=True)
class _KeysOfOne:
    looked_at: float
    states: list[State | None]
    keys: dict[str, Ed25519PublicKey]


def _key_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".pub")[:MOST_KEYS]
    except OSError:
        return []


def _state(file: Path) -> State | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return file.name, status.st_ino, status.st_ctime_ns, status.st_size


def _read_keys(files: list[Path]) -> dict[str, Ed25519PublicKey]:
    """By fingerprint. A file that holds no key is left out: the other keys of this caller stay good."""
    keys = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                key = load_pem_public_key(opened.read(LONGEST_FILE))
        except (OSError, ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, Ed25519PublicKey):
            keys[fingerprint(key.public_bytes_raw())] = key
    return keys
