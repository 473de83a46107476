"""Keys that were read once stay until others are read, and nobody outside decides how often they are."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from coordinator.adapters.jwks import BadJwks
from coordinator.adapters.jwks_sources import (
    FIRST_PAUSE_SECONDS,
    LOOK_SECONDS,
    OLDEST_SECONDS,
    PAUSE_SECONDS,
    FetchedKeys,
    FileKeys,
)
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from tests.unit.coordinator.token_issuer import jwks

ADDRESS = "https://login.bank.example/keys"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Answers with these keys, or with an error; counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: bytes | Exception = jwks("ed-1")
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, address: str) -> bytes:
        assert address == ADDRESS
        self.asked += 1
        await self.answers.wait()
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


async def knows(keys: FileKeys | FetchedKeys, kid: str) -> bool:
    return await keys.find(kid) is not None


async def is_unavailable(keys: FileKeys | FetchedKeys) -> bool:
    try:
        await keys.find("ed-1")
    except TokenRefused as refused:
        return refused.kind is TokenRefusal.KEYS_UNAVAILABLE
    return False


# --- a file ---


async def test_a_file_that_is_replaced_is_noticed_within_a_second(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.json", Clock()
    file.write_bytes(jwks("ed-1"))
    keys = FileKeys(file, clock)
    assert await knows(keys, "ed-1")
    (tmp_path / "new").write_bytes(jwks("ed-2"))
    (tmp_path / "new").replace(file)
    clock.now += LOOK_SECONDS / 2
    assert await knows(keys, "ed-1")
    clock.now += LOOK_SECONDS
    assert not await knows(keys, "ed-1")
    assert await knows(keys, "ed-2")


@pytest.mark.parametrize("how", ["removed", "spoiled", "emptied"])
async def test_a_file_that_cannot_be_used_leaves_the_last_keys_and_is_in_the_log(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys.json", Clock()
    file.write_bytes(jwks("ed-1"))
    keys = FileKeys(file, clock)
    assert await knows(keys, "ed-1")
    if how == "removed":
        file.unlink()
    else:
        file.write_bytes(b"canary" if how == "spoiled" else b"")
    clock.now += LOOK_SECONDS
    with caplog.at_level(logging.WARNING):
        assert await knows(keys, "ed-1")
    assert [record.msg for record in caplog.records] in (["token_keys_not_read"], ["token_keys_not_usable"])
    assert "canary" not in str([vars(record) for record in caplog.records])
    file.unlink(missing_ok=True)
    file.write_bytes(jwks("ed-2"))
    clock.now += LOOK_SECONDS
    assert await knows(keys, "ed-2")


async def test_a_file_that_comes_later_is_read_and_until_then_nobody_is_believed(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.json", Clock()
    keys = FileKeys(file, clock)
    assert await is_unavailable(keys)
    file.write_bytes(jwks("ed-1"))
    clock.now += LOOK_SECONDS
    assert await knows(keys, "ed-1")


# --- an address ---


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


async def test_unknown_keys_make_us_fetch_once_a_minute_and_not_more_often(issuer: Issuer) -> None:
    clock = Clock()
    keys = FetchedKeys(ADDRESS, clock, issuer)
    assert await knows(keys, "ed-1")
    for number in range(50):
        assert not await knows(keys, f"stranger-{number}")
        clock.now += PAUSE_SECONDS / 100
    assert issuer.asked == 1
    clock.now += PAUSE_SECONDS / 2
    issuer.keys = jwks("ed-2")
    assert await knows(keys, "ed-2")
    assert not await knows(keys, "ed-1")
    assert issuer.asked == 2


@pytest.mark.parametrize("failure", [BadJwks("it is not JSON"), TimeoutError(), ConnectionRefusedError()])
async def test_a_fetch_that_fails_keeps_the_last_keys(issuer: Issuer, failure: Exception) -> None:
    clock = Clock()
    keys = FetchedKeys(ADDRESS, clock, issuer)
    assert await knows(keys, "ed-1")
    issuer.keys = failure
    clock.now += PAUSE_SECONDS
    assert not await knows(keys, "ed-2")
    assert await knows(keys, "ed-1")
    assert issuer.asked == 2


async def test_until_keys_were_fetched_once_nobody_is_believed_and_the_issuer_is_asked_again_soon(
    issuer: Issuer,
) -> None:
    clock = Clock()
    keys = FetchedKeys(ADDRESS, clock, issuer)
    issuer.keys = ConnectionRefusedError()
    assert [await is_unavailable(keys) for _ in range(5)] == [True] * 5
    assert issuer.asked == 1
    issuer.keys = jwks("ed-1")
    clock.now += FIRST_PAUSE_SECONDS
    assert await knows(keys, "ed-1")


async def test_calls_at_the_same_time_wait_for_one_fetch_also_when_the_first_of_them_hangs_up(issuer: Issuer) -> None:
    keys = FetchedKeys(ADDRESS, Clock(), issuer)
    issuer.answers.clear()
    first, *others = [asyncio.create_task(knows(keys, "ed-1")) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    issuer.answers.set()
    assert await asyncio.gather(*others) == [True] * 4
    assert issuer.asked == 1


async def test_whoever_has_a_known_key_never_waits_and_old_keys_are_fetched_meanwhile(issuer: Issuer) -> None:
    clock = Clock()
    keys = FetchedKeys(ADDRESS, clock, issuer)
    assert await knows(keys, "ed-1")
    issuer.answers.clear()
    issuer.keys = jwks("ed-2")
    clock.now += OLDEST_SECONDS
    assert await asyncio.wait_for(knows(keys, "ed-1"), 1)
    await asyncio.sleep(0)
    assert issuer.asked == 2
    issuer.answers.set()
    assert await knows(keys, "ed-2")
    assert not await knows(keys, "ed-1")
