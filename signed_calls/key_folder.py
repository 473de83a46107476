"""Makes, changes and retires keys in one folder: `private/<name>.pem` and `public/<name>/<fingerprint>.pub`."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from signed_calls.keys import SigningKey, read_private_file, read_signing_key
from signed_calls.names import require_name

PRIVATE, PUBLIC = "private", "public"


def private_file(folder: Path, name: str) -> Path:
    """The file of the private key."""
    return folder / PRIVATE / f"{require_name(name)}.pem"


def public_folder(folder: Path) -> Path:
    """The folder of all public keys, for `PublicKeys`."""
    return folder / PUBLIC


def make_key(folder: Path, name: str) -> SigningKey:
    """Makes the key of a caller. One that exists is kept. Raises BadKey if it cannot be used."""
    file = private_file(folder, name)
    for each in (folder, file.parent, public_folder(folder)):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        unfinished = _write_private(file, Ed25519PrivateKey.generate())
        with suppress(FileExistsError):  # another process was first
            os.link(unfinished, file)
        unfinished.unlink()
    key = read_signing_key(name, read_private_file(file), str(file))
    publish(folder, name, key)
    return key


def publish(folder: Path, name: str, key: SigningKey) -> Path:
    """Files the public key under `name`: so whoever has that key may also speak for this name."""
    digits = key.key_id.rpartition("/")[2]
    file = public_folder(folder) / require_name(name) / f"{digits}.pub"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        unfinished.write_bytes(key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        unfinished.replace(file)
    return file


class NextKey:
    """The change of a key: `publish` it, wait until all who verify have seen it, then `use` it, and retire the old."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, require_name(name)
        self._key = SigningKey(name, Ed25519PrivateKey.generate())

    def publish(self) -> Path:
        """Files the public key beside the present one."""
        return publish(self._folder, self._name, self._key)

    def use(self) -> str:
        """Replaces the private key in one step. Returns its key id."""
        file = private_file(self._folder, self._name)
        _write_private(file, self._key.private).replace(file)
        return self._key.key_id


def retire_old_keys(folder: Path, name: str) -> list[Path]:
    """Deletes all public keys of this name but that of the present private key. Returns the deleted files."""
    file = private_file(folder, name)
    present = publish(folder, name, read_signing_key(name, read_private_file(file), str(file)))
    old = [each for each in sorted(present.parent.glob("*.pub")) if each != present]
    for each in old:
        each.unlink(missing_ok=True)
    return old


def _write_private(file: Path, private: Ed25519PrivateKey) -> Path:
    """A file beside `file`, which nobody else can read from its first byte on."""
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return unfinished
