"""The Ed25519 key that signs anchors: reading it, creating it (in development), signing with it."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from audit_verifier.verify import key_id
from services.cas_service.errors import AnchoringHasStalled

GROUP_AND_OTHERS = 0o077


@dataclass(frozen=True)
class SigningKey:
    """The private key. Only this service has it."""

    private: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """The raw public key in base64."""
        return b64encode(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    @property
    def key_id(self) -> str:
        """The short name of the key in anchors and rotations."""
        return key_id(self.public_key)

    def sign(self, line: str) -> str:
        """The signature of the line in base64."""
        return b64encode(self.private.sign(line.encode())).decode()

    @classmethod
    def make(cls) -> SigningKey:
        """A new random key."""
        return cls(Ed25519PrivateKey.generate())

    def write(self, file: Path) -> None:
        """Writes the file completely or not at all. Raises FileExistsError: it never replaces a key."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with NamedTemporaryFile(dir=file.parent) as stream:  # only its owner can read it
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            os.link(stream.name, file)


def read_key(file: Path) -> SigningKey:
    """Raises AnchoringStandsStill for a file that is missing, readable by others, or not an Ed25519 key."""
    try:
        if file.stat().st_mode & GROUP_AND_OTHERS:
            raise AnchoringHasStalled(f"the signing key {file.name} may be read by others", f"chmod 600 {file.name}")
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        reason = f"the signing key {file.name} cannot be read ({(error.strerror or 'no access').lower()})"
        raise AnchoringHasStalled(reason, "Put it where AUDIT_SIGNING_KEY_FILE says") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        reason = f"{file.name} holds no unencrypted Ed25519 key in PEM"
        raise AnchoringHasStalled(reason, "openssl genpkey -algorithm ed25519 makes one")
    return SigningKey(private)


def read_or_make_key(file: Path, *, may_make: bool) -> SigningKey:
    """With `may_make`, creates a missing key. If two processes create it at the same time, both use the first one."""
    if may_make and not file.exists():
        try:
            SigningKey.make().write(file)
        except FileExistsError:
            pass
        except OSError as error:
            reason = f"the signing key {file.name} cannot be made ({(error.strerror or 'no access').lower()})"
            raise AnchoringHasStalled(reason, "Let the service write into AUDIT_FOLDER") from None
    return read_key(file)


def now() -> str:
    """The present time as it is written in every signed line."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
