"""Two random tokens of a fleet: one that every sidecar (daprd) demands, one that a sidecar shows to its application.

They are made once, in files that only their owner can read. Dapr's own CLI and every Dapr SDK take them from the
environment, so `dapr run` gets them as variables.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure import private
from signed_calls import sidecar_token

FILES = {sidecar_token.VARIABLE: sidecar_token.FILE.name, "APP_API_TOKEN": "app-api"}


@dataclass(frozen=True)
class DaprTokens:
    """The tokens in a state directory."""

    state: Path

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return self.state / sidecar_token.FILE.parent

    def make(self) -> None:
        """Keeps the tokens that exist: a running fleet uses them."""
        private.make_folder(self.folder)
        for file in FILES.values():
            if not (self.folder / file).exists():
                private.write(self.folder / file, secrets.token_urlsafe(32))

    def environment(self) -> dict[str, str]:
        """The variables of `dapr run`; none before the tokens are made."""
        found = {variable: self.folder / file for variable, file in FILES.items()}
        return {variable: file.read_text() for variable, file in found.items() if file.exists()}
