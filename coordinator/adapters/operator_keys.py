"""The public keys of those who call the coordinator: from fleet.toml, else from the folder of CALL_KEYS."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coordinator.domain.permissions import Operator
from signed_calls.names import fingerprint
from signed_calls.verification import Keys


class OperatorKeys:
    """Implements Keys. An operator whose keys are in fleet.toml has no others."""

    def __init__(self, operators: Iterable[Operator], folder: Keys | None) -> None:
        self._folder = folder
        self._listed = {each.name: _read(each.public_keys) for each in operators if each.public_keys}

    def find(self, name: str, fingerprint: str) -> Ed25519PublicKey | None:
        """As Keys.find."""
        if name in self._listed:
            return self._listed[name].get(fingerprint)
        return None if self._folder is None else self._folder.find(name, fingerprint)


def _read(texts: Iterable[str]) -> dict[str, Ed25519PublicKey]:
    raw = [b64decode(text) for text in texts]
    return {fingerprint(key): Ed25519PublicKey.from_public_bytes(key) for key in raw}
