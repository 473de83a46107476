"""Two random tokens for each application: one that its sidecar (daprd) demands, one that the sidecar shows to it.

They are made once, in files that only their owner can read. A sidecar gets its two from
scripts/dapr/with_tokens, an application from UVICORN_ENV_FILE: `dapr run` gives all of them one environment.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure import private
from signed_calls import sidecar_token

FILES = {sidecar_token.VARIABLE: sidecar_token.FILE.name, "APP_API_TOKEN": "app-api"}
ENVIRONMENT = "environment"  # the same two as lines of a .env file
ENV_FILE = "UVICORN_ENV_FILE"  # uvicorn reads it before it loads the application
FOLDER = "RMBRAIN_TOKENS"  # tells with_tokens where they are
OF_EARLIER_RELEASES = ("dapr-api", "app-api")  # one pair for the whole fleet


@dataclass(frozen=True)
class DaprTokens:
    """The tokens in a state directory."""

    state: Path

    @property
    def folder(self) -> Path:
        """Has one folder for each application."""
        return self.state / sidecar_token.FOLDER

    def make(self, applications: Iterable[str]) -> None:
        """Keeps the tokens that exist: a running fleet uses them."""
        private.make_folder(self.folder)
        for name in applications:
            private.make_folder(self.folder / name)
            for file in FILES.values():
                if not (self.folder / name / file).exists():
                    private.write(self.folder / name / file, secrets.token_urlsafe(32))
            lines = [f"{variable}={value}\n" for variable, value in self.environment(name).items()]
            private.write(self.environment_file(name), "".join(lines))
        for earlier in OF_EARLIER_RELEASES:
            (self.folder / earlier).unlink(missing_ok=True)

    def environment(self, application: str) -> dict[str, str]:
        """The variables of this application and its sidecar; none before the tokens are made."""
        found = {variable: self.folder / application / file for variable, file in FILES.items()}
        return {variable: file.read_text() for variable, file in found.items() if file.exists()}

    def environment_file(self, application: str) -> Path:
        """The file that the application reads."""
        return self.folder / application / ENVIRONMENT
