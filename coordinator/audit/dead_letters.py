"""Keeps dead letters in Dapr state: an index and a document for each. Of too many at once only the number is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from coordinator.audit.rejections import RateLimit
from coordinator.documents.damaged import DamagedDocuments
from coordinator.documents.keys import OwnKey, key_of_dead_letter
from coordinator.domain.dead_letters.letter import BecameRun, DeadLetter, read_letter
from coordinator.domain.dead_letters.letter_index import LetterIndex, read_letter_index
from coordinator.domain.dead_letters.refusals import LetterNotResubmittable, NoSuchLetter, SeveralLetters
from coordinator.errors import BadField, quote_for_message
from coordinator.ports import DocumentStore, Provenance, VersionedDocument
from coordinator.unavailable import StateContended

log = logging.getLogger(__name__)

ATTEMPTS = 20
# Letters that came lately, kept or not; by the time that one of them comes as a dead letter, as many others may have.
REMEMBERED = 4000


class LetterPage(NamedTuple):
    """Some letters, the newest first, and what is told of those that are not there."""

    letters: list[DeadLetter]
    damaged: list[str]  # ids of letters that cannot be read
    next_cursor: str | None
    dropped: int  # how many made room for newer ones
    not_kept: int  # how many came in floods and were not kept


class DeadLetters:
    """Called at the door for events, and by whoever lists, shows or resubmits letters.

    Everything raises StateUnavailable or StateContended where the store cannot be used.
    """

    def __init__(
        self,
        documents: DocumentStore,
        damaged_documents: DamagedDocuments | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._documents = documents
        self._damaged_documents = damaged_documents or DamagedDocuments(documents)
        self._rate_limit = rate_limit or RateLimit()
        self._times: dict[UUID, int] = {}  # of letters that came lately: how often since they were written last
        self._not_kept = 0  # since the index was written last

    async def keep(self, letter: DeadLetter, *, as_dead_letter: bool = False) -> None:
        """Keeps a letter, or counts that it came again.

        `as_dead_letter` says that it comes from the topic of dead letters, to which every refused event comes a second
        time: that is not counted, and only what is not known from the first time is kept.
        """
        is_known = letter.id in self._times
        if as_dead_letter and is_known:
            return
        if not self._rate_limit.allows():
            self._not_kept += not (is_known or as_dead_letter)
            if not as_dead_letter:
                self._remember(letter.id, self._times.get(letter.id, 0) + 1)
            return
        place = await self._place(letter)
        await self._write(place, letter, self._times.get(letter.id, 0) + (not as_dead_letter))
        self._remember(letter.id, 0)

    async def mark_taken(self, letter_id: UUID, request_id: str, now: datetime) -> None:
        """Notes that an event became a run by itself after all; does nothing where no letter is kept of it."""
        try:
            await self.change(letter_id, lambda letter: letter.becoming(BecameRun(request_id=request_id, at=now)))
        except (NoSuchLetter, LetterNotResubmittable):
            return

    async def find(self, name: str) -> DeadLetter:
        """The letter with this id, or the only one with this request id.

        Raises NoSuchLetter, and SeveralLetters (CM-603) where several came under one request id.
        """
        index = await self._index()
        found = index.named(name)
        if len(found) > 1:
            raise SeveralLetters(name, [str(each) for each in found])
        letter = await self._letter(index, found[0]) if found else None
        if letter is None:
            raise NoSuchLetter(name)
        return letter

    async def latest(self, request_id: str) -> DeadLetter | None:
        """The newest letter that its publisher knows by this id."""
        index = await self._index()
        found = [entry.id for entry in index.letters if entry.request_id == request_id]
        return await self._letter(index, found[0]) if found else None

    async def page(self, limit: int, cursor: str | None) -> LetterPage:
        """Newest first. The cursor is the id of the last letter of the page before; raises BadField for another one."""
        index = await self._index()
        ids = [str(entry.id) for entry in index.letters]
        if cursor is not None and cursor not in ids:
            raise BadField(f"cursor = {quote_for_message(cursor)} is not one that a page ended with.")
        start = 0 if cursor is None else ids.index(cursor) + 1
        shown = index.letters[start : start + limit]
        documents = await self._documents.read_many([key_of_dead_letter(entry.place) for entry in shown])
        page = LetterPage([], [], ids[start + limit - 1] if start + limit < len(ids) else None, index.dropped, 0)
        for entry in shown:
            document = documents.get(key_of_dead_letter(entry.place))
            letter = _letter_in(document)
            if letter is not None and letter.id == entry.id:
                page.letters.append(letter)
            elif letter is None and document is not None:
                page.damaged.append(str(entry.id))
        return page._replace(not_kept=index.not_kept + self._not_kept)

    async def change(self, letter_id: UUID, change: Callable[[DeadLetter], DeadLetter]) -> DeadLetter:
        """Applies a change to the newest form of a letter.

        Raises NoSuchLetter, and LetterNotResubmittable for one that we have not written.
        """
        place = (await self._index()).place_of(letter_id)
        if place is None:
            raise NoSuchLetter(str(letter_id))
        for _ in range(ATTEMPTS):
            document = await self._documents.read(key_of_dead_letter(place))
            letter = _letter_in(document)
            if document is None or letter is None or letter.id != letter_id:
                raise NoSuchLetter(str(letter_id))
            letter.require_ours()
            changed = change(letter)
            if changed == letter or await self._replace(place, changed, document.etag):
                return changed
        raise StateContended(key_of_dead_letter(place))

    def _remember(self, letter_id: UUID, times: int) -> None:
        self._times.pop(letter_id, None)
        self._times[letter_id] = times
        if len(self._times) > REMEMBERED:
            del self._times[next(iter(self._times))]

    async def _index(self) -> LetterIndex:
        document = await self._documents.read(OwnKey.DEAD_LETTERS)
        return (document and read_letter_index(document.value)) or LetterIndex()

    async def _place(self, letter: DeadLetter) -> int:
        """The place of the letter, after it was entered into the index; the index is written first.

        A document that no index names would never be read again.
        """
        for _ in range(ATTEMPTS):
            document, not_kept = await self._documents.read(OwnKey.DEAD_LETTERS), self._not_kept
            index = (document and read_letter_index(document.value)) or None
            if document is not None and index is None:
                await self._damaged_documents.set_aside(OwnKey.DEAD_LETTERS, document)
            before = index or LetterIndex()
            changed = before.with_letter(letter.id, letter.request_id).with_not_kept(not_kept)
            if changed == before or await self._write_index(changed, document):
                self._not_kept -= not_kept
                if changed.dropped > before.dropped:
                    log.warning("dead_letter_dropped", extra={"letter": str(before.letters[-1].id)})
                return next(entry.place for entry in changed.letters if entry.id == letter.id)
        raise StateContended(OwnKey.DEAD_LETTERS)

    async def _write_index(self, index: LetterIndex, document: VersionedDocument | None) -> bool:
        value = index.model_dump(mode="json")
        if document is None:
            return await self._documents.create(OwnKey.DEAD_LETTERS, value)
        return await self._documents.replace(OwnKey.DEAD_LETTERS, value, document.etag)

    async def _write(self, place: int, letter: DeadLetter, times: int) -> None:
        key = key_of_dead_letter(place)
        for _ in range(ATTEMPTS):
            document = await self._documents.read(key)
            known = _letter_in(document)
            is_again = known is not None and known.id == letter.id and known.is_signed is not False
            written = known.again(letter, times=times) if known and is_again else letter.counted(times)
            if document is None:
                if await self._documents.create(key, _stored(written)):
                    return
            elif written == known or await self._replace(place, written, document.etag):
                return
        raise StateContended(key)

    async def _replace(self, place: int, letter: DeadLetter, etag: str) -> bool:
        return await self._documents.replace(key_of_dead_letter(place), _stored(letter), etag)

    async def _letter(self, index: LetterIndex, letter_id: UUID) -> DeadLetter | None:
        place = index.place_of(letter_id)
        letter = None if place is None else _letter_in(await self._documents.read(key_of_dead_letter(place)))
        return letter if letter is not None and letter.id == letter_id else None


def _letter_in(document: VersionedDocument | None) -> DeadLetter | None:
    letter = None if document is None else read_letter(document.value)
    if document is None or letter is None:
        return None
    is_signed = None if document.provenance is Provenance.UNCHECKED else document.provenance.is_ours
    return letter.model_copy(update={"is_signed": is_signed})


def _stored(letter: DeadLetter) -> dict[str, object]:
    return letter.model_copy(update={"is_signed": None}).model_dump(mode="json")
