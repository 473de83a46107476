"""Settings of anchoring: where the signing key is, where anchors are delivered, and how often."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from migration_sidecar.contract.errors import Misconfigured

PREFIXES = ("AUDIT_SIGNING_", "AUDIT_ANCHOR_", "AUDIT_FOLDER")


@dataclass(frozen=True)
class AnchoringSettings:
    """`key_is_ours` is for development: the key file is created when it is missing. `every_seconds` is in seconds."""

    key_file: Path
    key_is_ours: bool
    folder: Path | None
    git: Path | None = None
    every_events: int = 100
    every_seconds: int = 600


def read_anchoring_settings(environment: Mapping[str, str] = os.environ) -> AnchoringSettings:
    """Raises Misconfigured for a bad value, and for an unknown variable that begins with one of our prefixes."""
    variables = {name: value for name, value in environment.items() if name.startswith(PREFIXES)}
    home = Path(variables.pop("AUDIT_FOLDER", "") or ".rmbrain/audit")
    key_file, folder = variables.pop("AUDIT_SIGNING_KEY_FILE", ""), variables.pop("AUDIT_ANCHOR_FOLDER", "")
    git = variables.pop("AUDIT_ANCHOR_GIT", "")
    settings = AnchoringSettings(
        key_file=Path(key_file) if key_file else home / "signing-key.pem",
        key_is_ours=not key_file,
        folder=Path(folder) if folder else None if git else home / "anchors",
        git=Path(git) if git else None,
        every_events=_number(variables, "AUDIT_ANCHOR_EVENTS", 100, 10_000),
        every_seconds=_number(variables, "AUDIT_ANCHOR_SECONDS", 600, 86_400),
    )
    if variables:
        raise Misconfigured(min(variables), "the audit has no such setting")
    return settings


def _number(variables: dict[str, str], name: str, default: int, maximum: int) -> int:
    text = variables.pop(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= maximum):
        raise Misconfigured(name, f"it must be a whole number from 1 to {maximum}")
    return int(text)
