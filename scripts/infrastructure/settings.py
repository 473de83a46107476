"""Where the servers are, and where data is stored: read from the environment once, when a script starts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from scripts.infrastructure import ports
from scripts.infrastructure.dapr_tokens import DaprTokens
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.redis_access import RedisAccess

ROOT = Path(__file__).resolve().parents[2]
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ControlPlanePorts:
    """Dapr's own defaults collide with each other, with common tools and with outgoing connections."""

    placement: int = 15005
    placement_healthz: int = 15081
    placement_metrics: int = 15082
    placement_raft: int = 15083
    scheduler: int = 15006
    scheduler_healthz: int = 15084
    scheduler_metrics: int = 15085
    scheduler_etcd_client: int = 15086
    scheduler_etcd_peer: int = 15087

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ControlPlanePorts:
        """Reads DAPR_<NAME>_PORT for each port. Raises InfrastructureError for a bad number."""
        names = {each.name: f"DAPR_{each.name.upper()}_PORT" for each in fields(cls)}
        return cls(**{name: _port(environment, key) for name, key in names.items() if key in environment})

    @classmethod
    def free(cls) -> ControlPlanePorts:
        """Free ports, for a second control plane on this machine."""
        names = [each.name for each in fields(cls)]
        return cls(**dict(zip(names, ports.choose(len(names)), strict=True)))


@dataclass(frozen=True)
class Settings:
    """`postgres_named` and `redis_named`: the user set the host variable, and so chose the server."""

    state: Path = ROOT / ".rmbrain"
    postgres: Address = field(default_factory=Address)
    postgres_named: bool = False
    redis_host: str = "localhost"
    redis_port: int = 6379
    redis_named: bool = False
    # Of a server that the user named. Our own makes its passwords by itself.
    redis_user: str = ""
    redis_password: str = field(default="", repr=False)
    control_plane: ControlPlanePorts = field(default_factory=ControlPlanePorts)
    # Contains `dapr` and `.dapr/bin/{daprd,placement,scheduler}`; scripts/setup creates it.
    dapr: Path = Path(sys.prefix) / "dapr"
    dies_with_us: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads POSTGRES_*, REDIS_* and RMBRAIN_STATE_DIR. Raises InfrastructureError for a bad port."""
        state = environment.get("RMBRAIN_STATE_DIR")
        redis_host, _, redis_port = environment.get("REDIS_HOST", "localhost").partition(":")
        return cls(
            state=Path(state).absolute() if state else ROOT / ".rmbrain",
            postgres=Address(
                host=environment.get("POSTGRES_HOST", "localhost"),
                port=_port(environment, "POSTGRES_PORT", 5432),
                user=environment.get("POSTGRES_USER", "postgres"),
                password=environment.get("POSTGRES_PASSWORD", "postgres"),
            ),
            postgres_named="POSTGRES_HOST" in environment,
            redis_host=redis_host,
            redis_port=int(redis_port) if redis_port.isdigit() else _port(environment, "REDIS_PORT", 6379),
            redis_named="REDIS_HOST" in environment,
            redis_user=environment.get("REDIS_USERNAME", ""),
            redis_password=environment.get("REDIS_PASSWORD", ""),
            control_plane=ControlPlanePorts.from_environment(environment),
        )

    @classmethod
    def private(cls, state: Path) -> Settings:
        """A second infrastructure on free ports; its servers end when the process that starts them ends."""
        postgres, redis = ports.choose(2)
        return cls(
            state=state,
            postgres=Address(host=ports.LOOPBACK, port=postgres),
            redis_host=ports.LOOPBACK,
            redis_port=redis,
            control_plane=ControlPlanePorts.free(),
            dies_with_us=True,
        )

    @property
    def audit_folder(self) -> Path:
        """The folder of the audit's key and anchors. They belong to the databases in the same state directory only."""
        return self.state / "audit"

    @property
    def redis_access(self) -> RedisAccess:
        """The files with the passwords of our own Redis, and the one with the password that Dapr uses."""
        return RedisAccess(self.state / "redis")

    @property
    def dapr_tokens(self) -> DaprTokens:
        """The tokens between applications and their sidecars."""
        return DaprTokens(self.state)

    @property
    def keys_folder(self) -> Path:
        """The folder of the keys with which applications sign their calls."""
        return self.state / "keys"

    @property
    def passwords_folder(self) -> Path:
        """The folder of the passwords with which services log in to this PostgreSQL server."""
        host = "localhost" if self.postgres.host in LOCAL_HOSTS else re.sub(r"[^\w.-]", "_", self.postgres.host)
        return self.state / "passwords" / f"{host}-{self.postgres.port}"

    @property
    def matches_the_committed_files(self) -> bool:
        """Whether dapr.yaml and components/ have the same servers and ports, so that they can be used unchanged."""
        own = (self.state, self.postgres, self.redis_host, self.redis_port, self.control_plane)
        defaults = Settings()
        return own == (
            defaults.state,
            defaults.postgres,
            defaults.redis_host,
            defaults.redis_port,
            defaults.control_plane,
        )


def _port(environment: Mapping[str, str], name: str, default: int = 0) -> int:
    value = environment.get(name, str(default))
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise InfrastructureError(f"{name}={value} is not a port: give a number from 1 to 65535, or unset it.")
    return int(value)
