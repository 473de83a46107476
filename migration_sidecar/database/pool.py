"""The pool of the service's own sessions, for statuses, journal and operations, but not for the migration itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from migration_sidecar.contract.errors import DatabaseUnreachable, ProblemError
from migration_sidecar.database.connect import asyncpg_dsn, connect, identity_of, reaches
from migration_sidecar.database.connection_errors import CONNECT_SECONDS, unreachable
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.protocol.catalog.database_identity import DatabaseIdentity
from migration_sidecar.protocol.url import URL

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

STATEMENT_SECONDS = 10.0
CLOSE_SECONDS = 1.0
_NO_SESSION = {"CM-501", "CM-502", "CM-511", "CM-513"}
_LOGIN_REFUSED = asyncpg.InvalidAuthorizationSpecificationError


class ConnectionTarget(Protocol):
    """Where `DatabasePool` connects, and with which settings."""

    @property
    def session_settings(self) -> Mapping[str, str]:
        """PostgreSQL settings of the session, such as a role to take after login."""

    @property
    def identity(self) -> DatabaseIdentity | None:
        """The database in which every session must be; None if it is not known."""

    async def url(self, loading: LoadDeadline) -> URL:
        """The URL of the database, with password; raises ProblemError."""

    async def renew(self, found: DatabaseIdentity | None, loading: LoadDeadline) -> None:
        """Determines URL and identity again, because a session is in `found`. Raises ProblemError if it may not be."""


class _OtherDatabaseReached(Exception):
    """A session is in another database than env.py's connection, or its server was restarted."""

    def __init__(self, found: DatabaseIdentity) -> None:
        super().__init__()
        self.found = found


@dataclass
class HeldConnection:
    """A session that its owner keeps open for several uses. It is dropped after the first error."""

    session: Connection | PoolConnectionProxy | None = None


class DatabasePool:
    """A pool of at most four sessions. They are opened when needed and closed when idle."""

    def __init__(self, target: ConnectionTarget, application_name: str) -> None:
        self._target = target
        self._url: URL | None = None
        self._settings: dict[str, str] = {}
        self._application_name = application_name[:63]
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._has_connected = False  # to this URL

    @asynccontextmanager
    async def connection(
        self, held: HeldConnection | None = None, loading: LoadDeadline = UNLIMITED
    ) -> AsyncIterator[Connection | PoolConnectionProxy]:
        """Gives a session of the pool, or the one in `held`.

        Raises DatabaseUnreachable if there is none within five seconds, or if it is lost in the block. Raises
        ProblemError (CM-702, CM-703) if it would be in another database than env.py's connection.
        """
        held = held or HeldConnection()
        try:
            if held.session is not None and not held.session.is_closed():
                yield held.session
                return
            pool, connection = await self._acquired(loading)
            try:
                yield connection
            finally:
                await pool.release(connection)
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
        """Ends all sessions. One that is still in use after CLOSE_SECONDS is cut off."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()  # a session that is just being returned would fail in the background
        except Exception:
            pool.terminate()

    async def _acquired(self, loading: LoadDeadline) -> tuple[asyncpg.Pool[asyncpg.Record], PoolConnectionProxy]:
        try:
            return await self._acquire(loading)
        except _OtherDatabaseReached as error:
            await self._target.renew(error.found, loading)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # A password may have expired. Of an address that never led to it, env.py may know a newer one.
            if self._target.identity is None or (self._has_connected and not isinstance(error, _LOGIN_REFUSED)):
                raise
            await self._target.renew(None, loading)
        try:
            return await self._acquire(loading)
        except _OtherDatabaseReached:
            raise DatabaseUnreachable("CM-513", "env.py connects to another database from time to time.") from None

    async def _acquire(self, loading: LoadDeadline) -> tuple[asyncpg.Pool[asyncpg.Record], PoolConnectionProxy]:
        pool = await self._opened(loading)
        connection = await pool.acquire(timeout=CONNECT_SECONDS)
        self._has_connected = True
        return pool, connection

    async def _opened(self, loading: LoadDeadline) -> asyncpg.Pool[asyncpg.Record]:
        url = await self._target.url(loading)
        settings = {"application_name": self._application_name, **self._target.session_settings}
        if (url, settings) != (self._url, self._settings):  # env.py or the settings changed
            self._has_connected = self._has_connected and url == self._url
            self._url, self._settings = url, settings
            await self.close()
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                asyncpg_dsn(url),
                min_size=0,
                max_size=4,
                max_inactive_connection_lifetime=60,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                connect=self._connect,
                server_settings=settings,
            )
        return self._pool

    async def _connect(self, *arguments: Any, **options: Any) -> Connection:
        session = await connect(*arguments, **options)
        expected = self._target.identity
        try:
            if expected is None or await reaches(session, expected):
                return session
            raise _OtherDatabaseReached(await identity_of(session))
        except BaseException:
            session.terminate()
            raise

    def _unreachable(self, error: Exception) -> DatabaseUnreachable | None:
        problem = unreachable(self._url, error) if self._url is not None else None
        if problem is None or problem.problem.code not in _NO_SESSION or self._has_connected:
            return problem
        if self._target.identity is None:
            return problem
        # env.py was asked again and has a session, so the address that its driver shows is none for us.
        detail = f"It has a session, and our own has none. {problem.problem.detail}"
        return DatabaseUnreachable("CM-703", detail, sqlstate=problem.problem.sqlstate)
