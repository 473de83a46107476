"""The token with which a person at this machine calls the coordinator's sidecar (daprd) of a fleet here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "DAPR_API_TOKEN"
HEADER = "dapr-api-token"
FOLDER = "tokens"  # of a state directory; each application has its own in it
FILE = Path(FOLDER) / "migration-coordinator" / "dapr-api"  # people call the coordinator's sidecar


def sidecar_token(environment: Mapping[str, str], state: Path) -> str:
    """DAPR_API_TOKEN, also an empty one; otherwise what is in the state directory; empty if nobody made a token."""
    if VARIABLE in environment:
        return environment[VARIABLE]
    try:
        return (state / FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
