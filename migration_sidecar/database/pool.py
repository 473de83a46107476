"""The pool of the service's own sessions, for statuses, journal and operations, but not for the migration itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import asyncpg

from migration_sidecar.contract.errors import DatabaseUnreachable, ProblemError
from migration_sidecar.database.connect import asyncpg_dsn, connect
from migration_sidecar.database.connection_errors import CONNECT_SECONDS, unreachable
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.protocol.url import URL

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

STATEMENT_SECONDS = 10.0


class ConnectionTarget(Protocol):
    """Where `DatabasePool` connects, and as which role."""

    @property
    def role(self) -> str:
        """A role for SET ROLE after login, or empty."""

    async def url(self, loading: LoadDeadline) -> URL:
        """The URL of the database, with password; raises ProblemError."""


@dataclass
class HeldConnection:
    """A session that its owner keeps open for several uses. It is dropped after the first error."""

    session: Connection | PoolConnectionProxy | None = None


class DatabasePool:
    """A pool of at most four sessions. They are opened when needed and closed when idle."""

    def __init__(self, target: ConnectionTarget, application_name: str) -> None:
        self._target = target
        self._url: URL | None = None
        self._role = ""
        self._application_name = application_name[:63]
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def connection(
        self, held: HeldConnection | None = None, loading: LoadDeadline = UNLIMITED
    ) -> AsyncIterator[Connection | PoolConnectionProxy]:
        """Gives a session of the pool, or the one in `held`.

        Raises DatabaseUnreachable if there is none within five seconds, or if it is lost in the block.
        """
        held = held or HeldConnection()
        try:
            if held.session is not None and not held.session.is_closed():
                yield held.session
                return
            pool = await self._opened(loading)
            async with pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except ProblemError:
            raise
        except Exception as error:
            held.session = None  # it may be disconnected without an error, and each use would wait again
            problem = self._unreachable(error)
            if problem is None:
                raise
            raise problem from None

    async def probe(self) -> None:
        """Connects once without the pool. Raises DatabaseUnreachable with the server's reason."""
        try:
            url = await self._target.url(UNLIMITED)
            session = await asyncpg.connect(asyncpg_dsn(url), timeout=CONNECT_SECONDS, server_settings=self._settings)
            await session.close(timeout=CONNECT_SECONDS)
        except Exception as error:
            problem = self._unreachable(error)
            if problem is None:
                raise
            raise problem from None

    async def close(self) -> None:
        """Ends all sessions at once."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _opened(self, loading: LoadDeadline) -> asyncpg.Pool[asyncpg.Record]:
        url, role = await self._target.url(loading), self._target.role
        if (url, role) != (self._url, self._role):  # env.py or the settings changed
            self._url, self._role = url, role
            await self.close()
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                asyncpg_dsn(url),
                min_size=0,
                max_size=4,
                max_inactive_connection_lifetime=60,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                connect=connect,
                server_settings=self._settings,
            )
        return self._pool

    @property
    def _settings(self) -> dict[str, str]:
        """Our sessions take the role that migrates, because each must write to tables that the other created."""
        return {"application_name": self._application_name, **({"role": self._role} if self._role else {})}

    def _unreachable(self, error: Exception) -> DatabaseUnreachable | None:
        return unreachable(self._url, error) if self._url is not None else None
