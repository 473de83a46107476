"""All servers together: starts them in the order in which they need each other, and stops them in reverse."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from scripts.infrastructure import ports, private, redis
from scripts.infrastructure.call_keys import COORDINATOR, make_call_keys
from scripts.infrastructure.catalog import members
from scripts.infrastructure.control_plane import ControlPlane
from scripts.infrastructure.databases import prepare_state_store
from scripts.infrastructure.errors import CannotConnect, InfrastructureError
from scripts.infrastructure.postgres import PostgresServer
from scripts.infrastructure.redis import RedisServer
from scripts.infrastructure.role_passwords import RolePasswords
from scripts.infrastructure.service_roles import ServiceRoles
from scripts.infrastructure.settings import LOCAL_HOSTS, ROOT, Settings
from scripts.infrastructure.supervise import Program


def silent(_: str) -> None:
    """Prints nothing: the default of every `say` parameter."""


@dataclass(frozen=True)
class Infrastructure:
    """Several shells may use it at once: the second one waits for the first."""

    settings: Settings
    say: Callable[[str], None] = silent

    @property
    def postgres(self) -> PostgresServer:
        """Our own PostgreSQL."""
        settings = self.settings
        return PostgresServer(settings.state / "postgres", settings.postgres, dies_with_us=settings.dies_with_us)

    @property
    def redis(self) -> RedisServer:
        """Our own Redis."""
        settings = self.settings
        return RedisServer(settings.state / "redis", settings.redis_port, dies_with_us=settings.dies_with_us)

    @property
    def control_plane(self) -> ControlPlane:
        """Dapr's placement and scheduler."""
        return ControlPlane(self.settings)

    @property
    def programs(self) -> list[Program]:
        """In the order in which they are started."""
        plane = self.control_plane
        return [self.postgres.program, self.redis.program, plane.placement, plane.scheduler]

    @property
    def postgres_is_ours(self) -> bool:
        """Whether we run PostgreSQL: the user named no server, or a local address where no program listens."""
        settings = self.settings
        return not settings.postgres_named or self._ours_to_run(
            settings.postgres.host, settings.postgres.port, self.postgres.program
        )

    @property
    def redis_is_ours(self) -> bool:
        """The same for Redis."""
        settings = self.settings
        return not settings.redis_named or self._ours_to_run(
            settings.redis_host, settings.redis_port, self.redis.program
        )

    def _ours_to_run(self, host: str, port: int, program: Program) -> bool:
        return host in LOCAL_HOSTS and (program.process() is not None or ports.is_free(port))

    def up(self) -> None:
        """Starts all servers. They are healthy when it returns."""
        with self._locked():
            private.tighten_state(self.settings.state, whole=self.settings.state == ROOT / ".rmbrain")
            make_call_keys(self.settings.keys_folder)
            self.settings.dapr_tokens.make([COORDINATOR, *(member.name for member in members())])
            self._postgres_up()
            prepare_state_store(self.settings.postgres)
            self._give_databases()
            self._redis_up()
            if self.control_plane.is_emptied():
                self.say("the database of Dapr's scheduler was emptied: starting the scheduler again")
            self.control_plane.start()
            numbers = self.settings.control_plane
            self.say(f"Dapr placement on port {numbers.placement}, scheduler on port {numbers.scheduler}")

    def give_databases(self) -> None:
        """Gives each database to the role of its service, also one that was created a moment ago."""
        with self._locked():
            self._give_databases()

    def _give_databases(self) -> None:
        settings = self.settings
        passwords = RolePasswords(settings.passwords_folder)
        ServiceRoles(settings.postgres, passwords, self.postgres_is_ours, self.say).give()

    def _postgres_up(self) -> None:
        address = self.settings.postgres
        if self.postgres_is_ours:
            self.postgres.start()
            self.say(f"PostgreSQL on {address.host}:{address.port}, data in {self.postgres.data}")
            return
        try:
            address.connect().close()
        except psycopg.OperationalError as error:
            where = f"PostgreSQL on {address.host}:{address.port}"
            advice = "Check POSTGRES_HOST, _PORT, _USER and _PASSWORD, or unset POSTGRES_HOST to run our own"
            raise CannotConnect(where, str(error).strip(), advice) from None
        self.say(f"PostgreSQL on {address.host}:{address.port}, the one you named")

    def _redis_up(self) -> None:
        settings, host, port = self.settings, self.settings.redis_host, self.settings.redis_port
        if self.redis_is_ours:
            self.redis.start()
            self.say(f"Redis on {host}:{port}, data in {self.redis.data}")
            return
        if not redis.answers(host, port, settings.redis_user, settings.redis_password):
            advice = "Check REDIS_HOST, _PORT, _USERNAME and _PASSWORD, or unset REDIS_HOST to run our own"
            raise CannotConnect(f"Redis on {host}:{port}", "it does not answer", advice)
        self.redis.access.tell_dapr(settings.redis_user, settings.redis_password)
        self.say(f"Redis on {host}:{port}, the one you named")

    def down(self) -> None:
        """Stops all running servers, even if the settings have changed since they were started."""
        with self._locked():
            for program in reversed(self.programs):
                self.say(f"{program.name} {'stopped' if program.stop() else 'was not running'}")

    def reset(self) -> None:
        """Deletes the data of our own servers for ever. A server that the user named is not touched."""
        self.down()
        with self._locked():
            for program in self.programs:
                if program.process() is not None:
                    raise InfrastructureError(f"{program.name} was started again meanwhile; its data is left alone.")
                data = program.directory / "data"
                if data.is_dir() and not data.is_symlink():
                    shutil.rmtree(data)
                    self.say(f"deleted {data}")
                    if program == self.postgres.program:
                        self._set_audit_aside()

    def _set_audit_aside(self) -> None:
        """Renames the folder with key and anchors: they belong to the deleted audit, and the next one needs its own."""
        audit = self.settings.audit_folder
        if audit.is_dir():
            aside = audit.rename(audit.with_name(f"audit-until-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"))
            self.say(f"kept the key and the anchors of the deleted audit in {aside}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private.make_folder(self.settings.state)
        with private.open_lock(self.settings.state / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
