"""Signs the calls of one application, with the key that its settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from signed_calls.keys import SigningKey, SigningKeyFile, read_signing_key
from signed_calls.signature import Call


class Signer:
    """`current` gives the key at each call, so that a changed key is used without a restart."""

    def __init__(self, current: Callable[[], SigningKey]) -> None:
        self._current = current

    @classmethod
    def from_file(cls, name: str, file: Path) -> Signer:
        """Reads the file at the first call, and again when it has changed."""
        return cls(SigningKeyFile(name, file).current)

    @classmethod
    def from_text(cls, name: str, pem: str, place: str) -> Signer:
        """The key in the environment variable `place`. Raises BadKey."""
        key = read_signing_key(name, pem.encode(), place)
        return cls(lambda: key)

    @property
    def key_id(self) -> str:
        """The id of the present key. Raises BadKey."""
        return self._current().key_id

    def sign(self, call: Call) -> dict[str, str]:
        """The headers to send with this call. Raises BadKey."""
        return self._current().sign(call)
