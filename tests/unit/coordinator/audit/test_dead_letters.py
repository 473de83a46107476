"""Where dead letters are kept: each once, at most a thousand, and a flood neither fills nor wears out the store."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from coordinator.audit import dead_letters
from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.rejections import RateLimit
from coordinator.documents.keys import OwnKey, key_of_dead_letter
from coordinator.domain.dead_letters import letter_index
from coordinator.domain.dead_letters.letter import BecameRun, DeadLetter, letter_of
from coordinator.domain.dead_letters.refusals import LetterNotResubmittable, NoSuchLetter, SeveralLetters
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.errors import UnknownService
from coordinator.ports import Provenance, VersionedDocument
from coordinator.unavailable import StateUnavailable
from tests.unit.coordinator.at_the_doors import event
from tests.unit.coordinator.fakes import START, Died, Fate, MemoryDocuments, World


def letter(name: str = "e-1", **data: Any) -> DeadLetter:
    received = ReceivedEvent.parse(event(name, {"services": ["late"], **data}))
    return letter_of(received, UnknownService("late", ["first"]), START, None)


def never_full() -> RateLimit:
    return RateLimit(burst=10**6)


@pytest.fixture
def letters(world: World) -> DeadLetters:
    return DeadLetters(world.documents, rate_limit=never_full())


async def ids_of(letters: DeadLetters, limit: int = 50, cursor: str | None = None) -> list[str]:
    return [each.event_id or "" for each in (await letters.page(limit, cursor)).letters]


async def test_a_letter_is_found_by_its_id_and_by_the_id_that_its_publisher_knows(letters: DeadLetters) -> None:
    await letters.keep(letter())
    assert await letters.find(str(letter().id)) == letter()
    assert await letters.find("e-1") == letter()
    for unknown in ("e-2", str(uuid4()), "", "../run-e-1"):
        with pytest.raises(NoSuchLetter):
            await letters.find(unknown)


async def test_of_several_under_one_id_none_is_taken_for_the_one_that_is_meant(letters: DeadLetters) -> None:
    for name in ("e-1", "e-2"):
        await letters.keep(letter(name, request_id="r-1"))
    with pytest.raises(SeveralLetters, match=str(letter("e-2", request_id="r-1").id)):
        await letters.find("r-1")


async def test_it_is_one_letter_however_often_it_comes_and_it_is_told_how_often(world: World) -> None:
    first, other = (DeadLetters(world.documents, rate_limit=never_full()) for _ in range(2))
    for replica in (first, other, first):
        await replica.keep(letter().model_copy(update={"last_at": START + timedelta(hours=1)}))
        await replica.keep(letter(), as_dead_letter=True)
    (kept,) = (await first.page(50, None)).letters
    assert (kept.times, kept.first_at, kept.last_at) == (3, START, START + timedelta(hours=1))


async def test_what_was_refused_for_the_first_time_as_a_dead_letter_is_kept_too(letters: DeadLetters) -> None:
    await letters.keep(letter(), as_dead_letter=True)
    assert (await letters.find("e-1")).times == 1


async def test_letters_are_listed_newest_first_in_pages_that_miss_none(letters: DeadLetters) -> None:
    for number in range(7):
        await letters.keep(letter(f"e-{number}"))
    page = await letters.page(3, None)
    found = [each.event_id for each in page.letters]
    while page.next_cursor:
        page = await letters.page(3, page.next_cursor)
        found += [each.event_id for each in page.letters]
    assert found == [f"e-{number}" for number in reversed(range(7))]


async def test_beyond_the_limit_the_oldest_makes_room_and_that_is_told(
    world: World, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(letter_index, "LIMIT", 4)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            await letters.keep(letter(f"e-{number}"))
    page = await letters.page(50, None)
    assert ([each.event_id for each in page.letters], page.dropped) == (["e-5", "e-4", "e-3", "e-2"], 2)
    assert len(world.documents.documents) == 5
    assert [record.message for record in caplog.records] == ["dead_letter_dropped"] * 2
    with pytest.raises(NoSuchLetter):
        await letters.find("e-0")


async def test_of_the_letter_that_was_in_its_place_before_a_new_one_takes_nothing_over(
    letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_index, "LIMIT", 1)
    for _ in range(3):
        await letters.keep(letter("old"))
    new = letter("new").model_copy(update={"first_at": START + timedelta(hours=1)})
    await letters.keep(new)
    assert await letters.find("new") == new


async def test_a_flood_is_neither_kept_nor_written_and_its_number_is_told(world: World) -> None:
    letters = DeadLetters(world.documents, rate_limit=RateLimit(burst=60, seconds=1e9))
    for number in range(500):
        for as_dead_letter in (False, True):
            await letters.keep(letter(f"e-{number}"), as_dead_letter=as_dead_letter)
    page = await letters.page(100, None)
    assert (len(page.letters), page.not_kept, page.dropped) == (60, 440, 0)
    assert sum(version for _, version in world.documents.documents.values()) == 60 + 60


async def test_a_flood_of_one_event_is_counted_without_being_written(world: World) -> None:
    limit = RateLimit(burst=2, seconds=1e9)
    letters = DeadLetters(world.documents, rate_limit=limit)
    for _ in range(500):
        await letters.keep(letter())
    assert ((await letters.find("e-1")).times, (await letters.page(50, None)).not_kept) == (2, 0)
    limit.burst = 3
    await letters.keep(letter())
    assert (await letters.find("e-1")).times == 501


async def test_how_many_were_not_kept_is_stored_with_the_next_letter(world: World) -> None:
    limit = RateLimit(burst=1, seconds=1e9)
    letters = DeadLetters(world.documents, rate_limit=limit)
    for number in range(5):
        await letters.keep(letter(f"e-{number}"))
    limit.burst = 2
    await letters.keep(letter("e-9"))
    for replica in (letters, DeadLetters(world.documents)):
        assert (await replica.page(50, None)).not_kept == 4


async def test_what_is_remembered_of_a_flood_has_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "REMEMBERED", 10)
    letters = DeadLetters(world.documents, rate_limit=RateLimit(burst=1, seconds=1e9))
    for number in range(100):
        await letters.keep(letter(f"e-{number}"))
        await letters.keep(letter(f"e-{number}"))
    assert (len(letters._times), (await letters.page(50, None)).not_kept) == (10, 99)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("dies_at", range(1, 5))
async def test_a_letter_whose_keeping_was_cut_short_is_whole_when_it_comes_again(
    world: World, dies_at: int, before: bool
) -> None:
    world.documents.fate = Fate(dies_at, before)
    with pytest.raises(Died):
        await DeadLetters(world.documents).keep(letter())
    world.documents.fate = Fate()
    after = DeadLetters(world.documents)
    assert len((await after.page(50, None)).letters) <= 1
    await after.keep(letter(), as_dead_letter=True)
    assert await ids_of(after) == ["e-1"]


async def test_in_the_place_of_a_dropped_letter_it_is_not_taken_for_the_new_one(
    world: World, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is written first: until the letter is there, the place still holds the one before."""
    monkeypatch.setattr(letter_index, "LIMIT", 1)
    await letters.keep(letter("old"))
    world.documents.fate = Fate(dies_at=3)  # after the index was read and written
    with pytest.raises(Died):
        await letters.keep(letter("new"))
    world.documents.fate = Fate()
    assert await ids_of(letters) == []
    with pytest.raises(NoSuchLetter):
        await letters.find("new")


async def test_an_index_that_is_garbage_is_begun_anew_and_a_copy_is_kept(world: World, letters: DeadLetters) -> None:
    await letters.keep(letter("e-1"))
    world.documents.documents[OwnKey.DEAD_LETTERS] = ('"garbage"', 7)
    assert await ids_of(letters) == []
    await letters.keep(letter("e-2"))
    assert await ids_of(letters) == ["e-2"]
    assert [key for key in world.documents.documents if key.startswith("damaged-")]


async def test_a_letter_that_is_garbage_is_named_and_keeps_no_other_from_being_read(
    world: World, letters: DeadLetters
) -> None:
    for name in ("e-1", "e-2"):
        await letters.keep(letter(name))
    world.documents.documents[key_of_dead_letter(0)] = ("[]", 7)
    page = await letters.page(50, None)
    assert ([each.event_id for each in page.letters], page.damaged) == (["e-2"], [str(letter("e-1").id)])
    with pytest.raises(NoSuchLetter):
        await letters.find("e-1")
    await letters.keep(letter("e-1"))
    assert await ids_of(letters) == ["e-2", "e-1"]


class Foreign(MemoryDocuments):
    """As a store whose documents are signed tells of them."""

    provenance = Provenance.UNSIGNED

    def _found(self, key: str) -> VersionedDocument | None:
        found = super()._found(key)
        return found and found._replace(provenance=self.provenance)


@pytest.mark.parametrize(
    ("provenance", "is_signed"),
    [
        (Provenance.UNCHECKED, None),
        (Provenance.SIGNED, True),
        (Provenance.SIGNED_BEFORE, True),
        (Provenance.UNSIGNED, False),
        (Provenance.UNKNOWN_KEY, False),
        (Provenance.FORGED, False),
    ],
)
async def test_a_letter_that_is_not_ours_is_shown_and_nothing_is_asked_for_with_it(
    provenance: Provenance, is_signed: bool | None
) -> None:
    documents = Foreign()
    documents.provenance = provenance
    letters = DeadLetters(documents)
    await letters.keep(letter())
    found = await letters.find("e-1")
    assert found.is_signed is is_signed
    if is_signed is False:
        with pytest.raises(LetterNotResubmittable):
            await letters.change(found.id, lambda one: one.becoming(BecameRun(request_id="r", at=START)))


async def test_what_we_read_in_somebody_elses_letter_does_not_get_our_signature(world: World) -> None:
    documents = Foreign()
    letters = DeadLetters(documents, rate_limit=never_full())
    await letters.keep(letter())
    forged = (await letters.find("e-1")).model_copy(
        update={"event": "forged", "run": BecameRun(request_id="x", at=START)}
    )
    documents.documents[key_of_dead_letter(0)] = (forged.model_dump_json(), 3)
    await letters.keep(letter())
    assert "forged" not in documents.documents[key_of_dead_letter(0)][0]


async def test_a_letter_is_changed_in_the_newest_form_that_it_has(world: World, letters: DeadLetters) -> None:
    await letters.keep(letter())
    became = await letters.change(letter().id, lambda one: one.becoming(BecameRun(request_id="r-1", at=START)))
    assert (await letters.find("e-1")) == became
    with pytest.raises(NoSuchLetter):
        await letters.change(uuid4(), lambda one: one)


async def test_a_letter_that_was_taken_at_last_says_so_and_one_that_is_not_kept_costs_nothing(
    world: World, letters: DeadLetters
) -> None:
    await letters.keep(letter())
    for name in ("e-1", "e-2"):
        await letters.mark_taken(letter(name).id, "r-1", START)
    run = (await letters.find("e-1")).run
    assert run is not None
    assert (run.request_id, run.by) == ("r-1", None)
    assert await ids_of(letters) == ["e-1"]


async def test_while_the_store_is_away_nothing_is_said_to_be_kept(world: World, letters: DeadLetters) -> None:
    world.documents.down = True
    with pytest.raises(StateUnavailable):
        await letters.keep(letter())
    world.documents.down = False
    await letters.keep(letter())
    assert await ids_of(letters) == ["e-1"]


async def test_the_latest_of_a_request_is_found_for_whoever_asks_for_its_run(letters: DeadLetters) -> None:
    assert await letters.latest("r-1") is None
    for name in ("e-1", "e-2"):
        await letters.keep(letter(name, request_id="r-1"))
    latest = await letters.latest("r-1")
    assert latest is not None
    assert latest.event_id == "e-2"
    assert await letters.latest(str(latest.id)) is None
