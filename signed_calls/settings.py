"""What the environment says about signed calls. Reading it opens no file, so that every command can read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signed_calls.signer import Signer
    from signed_calls.verification import Verifier

SIGNATURES, READS, KEYS = "CALL_SIGNATURES", "CALL_READS", "CALL_KEYS"
KEY_FILE, KEY_TEXT = "CALL_SIGNING_KEY_FILE", "CALL_SIGNING_KEY"
REQUIRED, OFF = "required", "off"
OPEN, SIGNED = "open", "signed"
DEFAULT = REQUIRED


class BadCallSettings(ValueError):
    """A setting cannot be used. Its value is not shown, because it may be a key."""

    def __init__(self, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(f"{key}: {reason}")


@dataclass(frozen=True)
class CallSettings:
    """The settings of one application."""

    required: bool = True  # calls that change something must be signed
    reads_required: bool = False  # and those that read, too
    keys: Path | None = None  # the folder of all public keys
    key_file: Path | None = None  # the own key; of this and the next at most one is set
    key_text: str = field(default="", repr=False)

    def signer(self, name: str) -> Signer | None:
        """Signs the calls of the application `name`; None if it has no key, and then its calls are not signed."""
        from signed_calls.signer import Signer

        if self.key_file is not None:
            return Signer.from_file(name, self.key_file)
        return Signer.from_text(name, self.key_text, KEY_TEXT) if self.key_text else None

    def verifier(self, audience: str) -> Verifier | None:
        """Verifies the calls to the application `audience`; None if it knows no folder of keys."""
        from signed_calls.keys import PublicKeys
        from signed_calls.verification import Verifier

        return None if self.keys is None else Verifier(PublicKeys(self.keys), audience)


def read_call_settings(environment: Mapping[str, str]) -> CallSettings:
    """Raises BadCallSettings. A variable that is empty counts as not set."""
    if environment.get(KEY_FILE) and environment.get(KEY_TEXT):
        raise BadCallSettings(KEY_TEXT, f"{KEY_FILE} is set too; set one of them")
    reads = _one_of(environment, READS, OPEN, SIGNED)
    signatures = _one_of(environment, SIGNATURES, DEFAULT, REQUIRED, OFF)
    return CallSettings(
        required=signatures == REQUIRED,
        reads_required=signatures == REQUIRED and reads == SIGNED,
        keys=_path(environment, KEYS),
        key_file=_path(environment, KEY_FILE),
        key_text=environment.get(KEY_TEXT, ""),
    )


def _one_of(environment: Mapping[str, str], key: str, default: str, *others: str) -> str:
    value = environment.get(key) or default
    if value not in (default, *others):
        raise BadCallSettings(key, f"it must be {' or '.join(sorted({default, *others}))}")
    return value


def _path(environment: Mapping[str, str], key: str) -> Path | None:
    return Path(value) if (value := environment.get(key)) else None
