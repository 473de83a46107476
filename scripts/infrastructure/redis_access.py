"""Who may do what in our own Redis: its users, their passwords, and the file from which Dapr takes one of them.

The passwords are made once, and each is in one file that only its owner can read.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.infrastructure import private

ROOT = Path(__file__).resolve().parents[2]
BROKER, OPERATOR = "broker", "operator"
# Dapr's pubsub.redis 1.18 sends these and no others. HELLO, CLIENT and INFO are what its client asks when it connects.
OF_BROKER = (
    *("+ping", "+auth", "+hello", "+info", "+client|setinfo", "+client|setname", "+client|id"),
    *("+xadd", "+xack", "+xclaim", "+xpending", "+xreadgroup", "+xgroup|create"),
)
# For `infra` and for a person who looks at events, above all at those that nobody could take, and removes some.
OF_OPERATOR = (
    *("+ping", "+auth", "+hello", "+info", "+client|setinfo", "+client|setname", "+client|id", "+acl|whoami"),
    *("+dbsize", "+scan", "+type", "+memory|usage", "+memory|stats"),
    *("+xlen", "+xrange", "+xrevrange", "+xpending", "+xinfo", "+xdel", "+xtrim"),
)


@dataclass(frozen=True)
class RedisAccess:
    """The access files in the directory of our Redis."""

    directory: Path

    @property
    def of_dapr(self) -> Path:
        """The file of Dapr's secret store `broker-secrets`: user name and password."""
        return self.directory / "dapr.json"

    @property
    def configuration(self) -> Path:
        """The server's configuration file. It has no password, only hashes of them."""
        return self.directory / "data" / "server.conf"

    def password(self, user: str) -> str:
        """The password of one of our users. It is made when it is missing."""
        file = self.directory / f"{user}-password"
        if not file.exists():
            private.make_folder(self.directory)
            private.write(file, secrets.token_urlsafe(32))
        return file.read_text()

    def users(self, topics: list[str]) -> list[str]:
        """The lines of the configuration that name the users. Without a user and a password nothing is answered."""
        streams = [f"~{topic}" for topic in topics]
        return [
            "user default off nopass resetchannels -@all",
            f"user {BROKER} on {self._hash(BROKER)} resetchannels {' '.join(streams)} -@all {' '.join(OF_BROKER)}",
            f"user {OPERATOR} on {self._hash(OPERATOR)} resetchannels ~* -@all {' '.join(OF_OPERATOR)}",
        ]

    def _hash(self, user: str) -> str:
        return f"#{hashlib.sha256(self.password(user).encode()).hexdigest()}"

    def tell_dapr(self, user: str, password: str) -> None:
        """Writes the file of the secret store. Both are empty for a server that asks for no password."""
        private.make_folder(self.directory)
        private.write(self.of_dapr, json.dumps({"username": user, "password": password}))


def topics(component: Path = ROOT / "components" / "pubsub.yaml") -> list[str]:
    """The topics that components/pubsub.yaml lets applications use. A topic is a stream of the same name."""
    metadata = yaml.safe_load(component.read_text())["spec"]["metadata"]
    values = {entry["name"]: entry.get("value", "") for entry in metadata}
    scopes = ";".join(values.get(name, "") for name in ("publishingScopes", "subscriptionScopes"))
    named = [*scopes.split(";"), f"={values.get('protectedTopics', '')}"]
    return sorted({topic for scope in named for topic in scope.partition("=")[2].split(",") if topic})
