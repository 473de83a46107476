"""The index of dead letters: bounded, newest first, each letter in a place of its own, whatever is read back."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.dead_letters.letter_index import LIMIT, LetterIndex, read_letter_index


def index_of(number: int) -> tuple[LetterIndex, list[UUID]]:
    index, ids = LetterIndex(), [uuid4() for _ in range(number)]
    for letter_id in ids:
        index = index.with_letter(letter_id, None)
    return index, ids


def test_a_thousand_are_kept_and_the_oldest_makes_room_and_is_counted() -> None:
    index, ids = index_of(LIMIT + 3)
    assert (len(index.letters), index.dropped) == (LIMIT, 3)
    assert [entry.id for entry in index.letters] == ids[:2:-1]
    assert index.place_of(ids[0]) is None
    assert index.place_of(ids[-1]) == 2  # that of the third one


def test_each_letter_has_a_place_of_its_own() -> None:
    index, _ = index_of(LIMIT + 3)
    assert sorted(entry.place for entry in index.letters) == list(range(LIMIT))


def test_a_letter_that_is_known_stays_where_it_is() -> None:
    index, ids = index_of(5)
    assert index.with_letter(ids[2], "r-1") == index


def test_letters_are_found_by_their_ids_and_by_the_id_that_a_publisher_knows_newest_first() -> None:
    index, ids = index_of(1)
    for number in range(4):
        ids.append(uuid4())
        index = index.with_letter(ids[-1], "r-1" if number % 2 else f"r-{number + 2}")
    assert index.named(str(ids[3])) == [ids[3]]
    assert index.named(str(ids[3]).upper()) == []
    assert index.named("r-1") == [ids[4], ids[2]]
    assert index.named("nobody") == []


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_garbage_is_no_index(value: Any) -> None:
    assert read_letter_index(value) is None or isinstance(read_letter_index(value), LetterIndex)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"place": LIMIT},
        {"place": -1},
        {"place": "0"},
        {"place": 1},  # that of the other letter
        {"id": "no uuid"},
        {"request_id": "a/b"},
    ],
)
def test_an_index_that_names_another_place_is_none(spoilt: dict[str, Any]) -> None:
    index, _ = index_of(2)
    value = index.model_dump(mode="json")
    assert read_letter_index(value) == index
    value["letters"][1] |= spoilt
    assert read_letter_index(value) is None
