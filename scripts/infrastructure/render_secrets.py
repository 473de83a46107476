"""Files with the password of the user's own server, for a rendered fleet. Only their owner can read them.

One is Dapr's secret store for the state store, the other is for the applications. A passfile of libpq suits neither:
asyncpg, libpq and pgx read `:`, a backslash and a space at the end of a password in three different ways.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.infrastructure import private
from scripts.infrastructure.postgres import Address

# The development server: its password is public, and is in the committed files.
DEVELOPMENT = Address()
STORE = "secrets"
KEY = "stateStore"
READER = "scripts.infrastructure.with_password"


@dataclass(frozen=True)
class SecretFiles:
    """The secret files in the folder of a rendered dapr.yaml."""

    rendered: Path
    server: Address
    # Every service and the state store log in with roles of their own.
    spared: bool = False

    @property
    def needed(self) -> bool:
        """Whether somebody logs in as the administrator of a server that has another password than the public one."""
        return not self.spared and self.server.password != DEVELOPMENT.password

    @property
    def folder(self) -> Path:
        """The folder of the secret files."""
        return self.rendered / "secrets"

    @property
    def password(self) -> Path:
        """The file with the password, for the applications."""
        return self.folder / "database-password"

    @property
    def of_dapr(self) -> Path:
        """The secret store's file, for the coordinator's daprd."""
        return self.folder / "dapr.json"

    def write(self, state_store: str) -> None:
        """Writes the files, or deletes those of an earlier rendering when none are needed."""
        if not self.needed:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        private.make_folder(self.folder)
        private.write(self.password, self.server.password)
        private.write(self.of_dapr, json.dumps({KEY: self.server.url(state_store)}))

    def component(self) -> dict[str, Any]:
        """Dapr's secret store. Only the coordinator's sidecar loads it, for its own components: see `deny`."""
        metadata = [{"name": "secretsFile", "value": str(self.of_dapr)}]
        return {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": STORE},
            "spec": {"type": "secretstores.local.file", "version": "v1", "metadata": metadata},
            "scopes": ["migration-coordinator"],
        }

    def refer(self, component: dict[str, Any]) -> None:
        """Replaces the connection string of the state store by a reference to the secret."""
        for entry in component["spec"].get("metadata", ()):
            if entry["name"] == "connectionString":
                del entry["value"]
                entry["secretKeyRef"] = {"name": KEY, "key": KEY}
                component["auth"] = {"secretStore": STORE}

    def deny(self, configuration: dict[str, Any]) -> None:
        """Denies secrets over the sidecar's HTTP port, which every user of this machine can call."""
        configuration["spec"]["secrets"]["scopes"].append({"storeName": STORE, "defaultAccess": "deny"})

    def lend(self, command: list[str]) -> list[str]:
        """Changes `python -m uvicorn …` so that the module starts with the password in DATABASE_URL."""
        python, _, *module = command
        return [python, "-m", READER, str(self.password), *module]
