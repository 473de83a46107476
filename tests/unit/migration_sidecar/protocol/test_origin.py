"""How an operation came in is told by its id, and its words are those that journals and the audit hold."""

from __future__ import annotations

import json

import pytest

from migration_sidecar.protocol.origin import Origin, origin_of

# Written out: workers of pytest-xdist must collect the same names.
AN_ID = "8b1f0c1e-6f1d-4f0e-9f43-1f4d8b1d2a10"


def test_the_stored_words_stay() -> None:
    assert [json.dumps(each) for each in Origin] == ['"endpoint"', '"start-up"', '"by hand"']
    assert [f"{each} {each!s}" for each in Origin] == ["endpoint endpoint", "start-up start-up", "by hand by hand"]


@pytest.mark.parametrize(
    ("prefix", "origin"),
    [("start-up", Origin.START_UP), ("by-hand", Origin.BY_HAND), ("adopt", Origin.BY_HAND), ("x", Origin.ENDPOINT)],
)
def test_an_id_of_ours_tells_how_its_operation_came_in(prefix: str, origin: Origin) -> None:
    assert origin_of(f"{prefix}-{AN_ID}") is origin


@pytest.mark.parametrize("operation_id", ["by-hand-1", "start-up-", f"by-hand-{AN_ID}x", f"x-by-hand-{AN_ID}"])
def test_an_id_that_only_looks_like_ours_came_through_the_endpoint(operation_id: str) -> None:
    assert origin_of(operation_id) is Origin.ENDPOINT
