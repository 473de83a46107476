"""The key that signs anchors: read, made in development, replaced by a rotation."""

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
from services.cas_service.evidence_errors import AnchoringStandsStill

OTHERS = 0o077


@dataclass(frozen=True)
class SigningKey:
    private: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        return b64encode(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    @property
    def key_id(self) -> str:
        return key_id(self.public_key)

    def sign(self, line: str) -> str:
        return b64encode(self.private.sign(line.encode())).decode()

    @classmethod
    def make(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    def write(self, file: Path) -> None:
        """Durable and complete, or not there at all; raises FileExistsError rather than replace a key."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with NamedTemporaryFile(dir=file.parent) as stream:  # for its owner only
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            os.link(stream.name, file)


def read_key(file: Path) -> SigningKey:
    """Raises AnchoringStandsStill for a file that is missing, open to others, or no Ed25519 key."""
    try:
        if file.stat().st_mode & OTHERS:
            raise AnchoringStandsStill(f"the signing key {file.name} may be read by others", f"chmod 600 {file.name}")
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        reason = f"the signing key {file.name} cannot be read ({(error.strerror or 'no access').lower()})"
        raise AnchoringStandsStill(reason, "Put it where AUDIT_SIGNING_KEY_FILE says") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        reason = f"{file.name} holds no unencrypted Ed25519 key in PEM"
        raise AnchoringStandsStill(reason, "openssl genpkey -algorithm ed25519 makes one")
    return SigningKey(private)


def read_or_make_key(file: Path, *, may_make: bool) -> SigningKey:
    """Of two that make it at the same time, both read the one that was first."""
    if may_make and not file.exists():
        try:
            SigningKey.make().write(file)
        except FileExistsError:
            pass
        except OSError as error:
            reason = f"the signing key {file.name} cannot be made ({(error.strerror or 'no access').lower()})"
            raise AnchoringStandsStill(reason, "Let the service write into AUDIT_FOLDER") from None
    return read_key(file)


def now() -> str:
    """The time as it stands in every line that is signed."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
