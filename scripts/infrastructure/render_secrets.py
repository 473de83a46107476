"""Where a rendered fleet takes the password of the user's own server from: files that only their owner reads.

Dapr's secret store for its state, one file for the applications. A passfile of libpq would do for neither: asyncpg,
libpq and pgx read `:`, a backslash and a blank at the end of a password in it in three different ways.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.infrastructure import private
from scripts.infrastructure.postgres import Address

# The guide's, which everybody knows and which stands in the committed files.
DEVELOPMENT = Address()
STORE = "secrets"
KEY = "stateStore"
READER = "scripts.infrastructure.with_password"


@dataclass(frozen=True)
class SecretFiles:
    """Beside a rendered dapr.yaml."""

    rendered: Path
    server: Address

    @property
    def needed(self) -> bool:
        return self.server.password != DEVELOPMENT.password

    @property
    def folder(self) -> Path:
        return self.rendered / "secrets"

    @property
    def password(self) -> Path:
        return self.folder / "database-password"

    @property
    def of_dapr(self) -> Path:
        return self.folder / "dapr.json"

    def write(self, state_store: str) -> None:
        """Those of an earlier rendering go when these are not needed."""
        if not self.needed:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        private.make_folder(self.folder)
        private.write(self.password, self.server.password)
        private.write(self.of_dapr, json.dumps({KEY: self.server.url(state_store)}))

    def component(self) -> dict[str, Any]:
        """Only the coordinator's sidecar reads it, and only for its own components: see `deny`."""
        metadata = [{"name": "secretsFile", "value": str(self.of_dapr)}]
        return {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": STORE},
            "spec": {"type": "secretstores.local.file", "version": "v1", "metadata": metadata},
            "scopes": ["migration-coordinator"],
        }

    def refer(self, component: dict[str, Any]) -> None:
        """The state store's connection string is a reference."""
        for entry in component["spec"].get("metadata", ()):
            if entry["name"] == "connectionString":
                del entry["value"]
                entry["secretKeyRef"] = {"name": KEY, "key": KEY}
                component["auth"] = {"secretStore": STORE}

    def deny(self, configuration: dict[str, Any]) -> None:
        """Everybody on this machine may call a sidecar's HTTP port, and none of them gets a secret from it."""
        configuration["spec"]["secrets"] = {"scopes": [{"storeName": STORE, "defaultAccess": "deny"}]}

    def lend(self, command: list[str]) -> list[str]:
        """`python -m uvicorn …` with the password in its DATABASE_URL."""
        python, _, *module = command
        return [python, "-m", READER, str(self.password), *module]
