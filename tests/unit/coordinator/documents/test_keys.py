"""Where the coordinator keeps what: a run's key and a document of our own can never be the same one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.documents.keys import FORMER_INDEX, OwnKey, key_beside, key_of_run
from coordinator.domain.request import read_request
from coordinator.errors import BadRequestId, NotJson
from migration_sidecar.contract.request_id import REQUEST_ID
from tests.unit.coordinator.fakes import World

REQUEST_IDS = st.from_regex(REQUEST_ID, fullmatch=True)
OURS = [*OwnKey, *(key_beside(key, "0123456789abcdef0123") for key in OwnKey)]


@given(REQUEST_IDS)
def test_no_request_id_ever_gives_a_key_of_our_own(request_id: str) -> None:
    assert key_of_run(request_id) == f"run-{request_id}"
    assert key_of_run(request_id) not in OURS


def test_none_of_our_keys_begins_as_a_runs_key_does() -> None:
    """Whatever a request id may be: this is why the property above holds for all of them."""
    assert [key for key in OURS if key.lower().startswith("run-")] == []
    assert len(set(OURS)) == len(OURS)
    assert FORMER_INDEX not in OURS


@pytest.mark.parametrize("request_id", ["", "a b", "a/b", "ä", "x" * 65, "a\n"])
def test_what_is_no_request_id_gives_no_key(request_id: str) -> None:
    with pytest.raises(BadRequestId):
        key_of_run(request_id)


async def test_a_life_of_the_coordinator_writes_no_key_that_is_not_named_in_one_place(world: World) -> None:
    life = world.life()
    for request_id in ("index", "r-1", "rejections-pending", "index-of-runs"):
        await life.acceptance.accept(read_request({"services": "all", "request_id": request_id}, default_request_id=""))
    await life.intake.refuse(("event", "s", "1"), NotJson("it is not."), "index")
    world.documents.documents[OwnKey.INDEX] = ('"garbage"', 7)
    world.documents.documents[OwnKey.SPOOL] = ("[]", 7)
    await life.drive()
    await life.recovery_loop.run_once()
    await life.rejections.flush()
    runs = {key_of_run(one) for one in ("index", "r-1", "rejections-pending", "index-of-runs")}
    beside = re.compile("|".join(f"damaged-{key}-[0-9a-f]{{16}}" for key in OwnKey))
    others = world.documents.documents.keys() - runs - set(OwnKey)
    assert [key for key in others if not beside.fullmatch(key)] == []
    assert len(others) == 2
