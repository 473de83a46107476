"""Where the keys of an issuer come from: a file, or an address. Keys that were read once stay until others are read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import aiohttp

from coordinator.adapters.jwks import LONGEST_SET, BadJwks, TokenKey, read_jwks
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings

LOOK_SECONDS = 1.0  # how long a changed file may go unnoticed
PAUSE_SECONDS = 60.0  # between two fetches, so that nobody can make us fetch by naming unknown keys
FIRST_PAUSE_SECONDS = 10.0  # the same, as long as no keys are known at all
OLDEST_SECONDS = 3600.0  # a key that the issuer has taken back is taken no longer than that, if the issuer answers
FETCH_SECONDS = 10.0  # for all of it; of these, CONNECT_SECONDS for the connection
CONNECT_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024

log = logging.getLogger(__name__)


class TokenKeys(Protocol):
    """The issuer's keys."""

    async def find(self, kid: str) -> TokenKey | None:
        """The key; None if there is none of this name. Raises TokenRefused if no keys could be read yet."""
        ...


class FileKeys:
    """Implements TokenKeys with a file, which is read again when it has changed."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._keys: Mapping[str, TokenKey] | None = None
        self._state: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()
        self._warnings = RateLimitedWarnings(log)

    async def find(self, kid: str) -> TokenKey | None:
        """As TokenKeys.find."""
        async with self._one_at_a_time:
            if self._clock() - self._looked_at >= LOOK_SECONDS:
                self._looked_at = self._clock()
                await asyncio.to_thread(self._look)
        return _key_in(self._keys, kid)

    def _look(self) -> None:
        try:
            status = self._file.stat()
            state = (status.st_ino, status.st_ctime_ns, status.st_size)  # before reading: later changes are read again
            if state != self._state:
                with self._file.open("rb") as opened:
                    content = opened.read(LONGEST_SET + 1)
                self._state = state
                self._keys = read_jwks(content)
        except OSError as error:
            self._warnings.warn("token_keys_not_read", kind="file", file=self._file.name, why=error.strerror)
        except BadJwks as error:
            self._warnings.warn("token_keys_not_usable", kind="file", file=self._file.name, why=str(error))


class FetchedKeys:
    """Implements TokenKeys with an address. Callers with a key that is known never wait for the issuer."""

    def __init__(
        self,
        address: str,
        clock: Callable[[], float] = time.monotonic,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
    ) -> None:
        self._address, self._clock, self._get = address, clock, fetch or fetch_jwks
        self._keys: Mapping[str, TokenKey] | None = None
        self._fetched_at = self._asked_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> TokenKey | None:
        """As TokenKeys.find."""
        if self._keys is None or kid not in self._keys:
            if (fetching := self._fetch_again()) is not None:
                await asyncio.shield(fetching)  # a caller who hangs up does not stop it for the others
        elif self._clock() - self._fetched_at >= OLDEST_SECONDS:
            self._fetch_again()
        return _key_in(self._keys, kid)

    def _fetch_again(self) -> asyncio.Task[None] | None:
        """What fetches the keys now; None if the last time was too short ago."""
        if self._fetching is None:
            pause = FIRST_PAUSE_SECONDS if self._keys is None else PAUSE_SECONDS
            if self._clock() - self._asked_at < pause:
                return None
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._keys = read_jwks(await self._get(self._address))
            self._fetched_at = self._clock()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, BadJwks) as error:
            why = str(error) if isinstance(error, BadJwks) else type(error).__name__
            log.warning("token_keys_not_fetched", extra={"address": self._address, "why": why})
        finally:
            self._fetching = None


async def fetch_jwks(address: str) -> bytes:
    """The answer of this address. Raises an error of aiohttp, TimeoutError or BadJwks; it follows no redirect.

    Proxies that the environment names are not asked. An https address needs a certificate that this machine trusts.
    """
    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS, connect=CONNECT_SECONDS)
    async with (
        aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
        session.get(address, allow_redirects=False, headers={"accept-encoding": "identity"}) as answer,
    ):
        if answer.status != 200:
            raise BadJwks(f"the status is {answer.status}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise BadJwks("the answer is compressed")
        content = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            content += chunk
            if len(content) > LONGEST_SET:
                raise BadJwks("it is larger than 1 MiB")
        return bytes(content)


def _key_in(keys: Mapping[str, TokenKey] | None, kid: str) -> TokenKey | None:
    if keys is None:
        raise TokenRefused(TokenRefusal.KEYS_UNAVAILABLE)
    return keys.get(kid)
