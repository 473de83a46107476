"""Where the audit's signing key is, where its anchors go, and how often."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from migration_sidecar.contract.errors import Misconfigured

OURS = ("AUDIT_SIGNING_", "AUDIT_ANCHOR_", "AUDIT_FOLDER")


@dataclass(frozen=True)
class AnchoringSettings:
    """`key_is_ours` means development: the key file is made when it is missing."""

    key_file: Path
    key_is_ours: bool
    folder: Path | None
    git: Path | None = None
    every_events: int = 100
    every_seconds: int = 600


def read_anchoring_settings(environment: Mapping[str, str] = os.environ) -> AnchoringSettings:
    """Raises Misconfigured, also for a name of ours that means nothing."""
    given = {name: value for name, value in environment.items() if name.startswith(OURS)}
    home = Path(given.pop("AUDIT_FOLDER", "") or ".rmbrain/audit")
    key_file, folder = given.pop("AUDIT_SIGNING_KEY_FILE", ""), given.pop("AUDIT_ANCHOR_FOLDER", "")
    git = given.pop("AUDIT_ANCHOR_GIT", "")
    settings = AnchoringSettings(
        key_file=Path(key_file) if key_file else home / "signing-key.pem",
        key_is_ours=not key_file,
        folder=Path(folder) if folder else None if git else home / "anchors",
        git=Path(git) if git else None,
        every_events=_number(given, "AUDIT_ANCHOR_EVENTS", 100, 10_000),
        every_seconds=_number(given, "AUDIT_ANCHOR_SECONDS", 600, 86_400),
    )
    if given:
        raise Misconfigured(min(given), "the audit has no such setting")
    return settings


def _number(given: dict[str, str], name: str, usual: int, most: int) -> int:
    text = given.pop(name, "") or str(usual)
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise Misconfigured(name, f"it must be a whole number from 1 to {most}")
    return int(text)
