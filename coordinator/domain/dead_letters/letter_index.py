"""The list of dead letters, which is needed because Dapr state cannot be listed: at most a thousand, newest first."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.domain.run_index import RequestId

LIMIT = 1000


class LetterEntry(BaseModel):
    """One letter, by its id and by the id that its publisher knows, and the place where it is kept."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    place: Annotated[int, Field(ge=0, lt=LIMIT, strict=True)]
    request_id: RequestId | None = None


class LetterIndex(BaseModel):
    """There are as many places as letters may be: the oldest letter gives its place to the newest.

    So the store cannot grow, and nothing has ever to be deleted.
    """

    model_config = ConfigDict(frozen=True)

    letters: list[LetterEntry] = []  # newest first
    dropped: int = Field(default=0, ge=0)  # how many made room for newer ones
    not_kept: int = Field(default=0, ge=0)  # how many came in floods, and were not kept at all

    def with_letter(self, letter_id: UUID, request_id: str | None) -> LetterIndex:
        """With one more letter, as the newest; a known one stays where it is."""
        if self.place_of(letter_id) is not None:
            return self
        if len(self.letters) < LIMIT:
            place, others, dropped = len(self.letters), self.letters, self.dropped
        else:
            place, others, dropped = self.letters[-1].place, self.letters[:-1], self.dropped + 1
        entry = LetterEntry(id=letter_id, place=place, request_id=request_id)
        return self.model_copy(update={"letters": [entry, *others], "dropped": dropped})

    def with_not_kept(self, number: int) -> LetterIndex:
        """With more letters that were not kept."""
        return self.model_copy(update={"not_kept": self.not_kept + number}) if number else self

    def place_of(self, letter_id: UUID) -> int | None:
        """Where the letter is kept; None for one that is not."""
        return next((entry.place for entry in self.letters if entry.id == letter_id), None)

    def named(self, name: str) -> list[UUID]:
        """The letter with this id, or those with this request id, newest first."""
        exactly = [entry.id for entry in self.letters if str(entry.id) == name]
        return exactly or [entry.id for entry in self.letters if entry.request_id == name]


def read_letter_index(value: Any) -> LetterIndex | None:
    """The index in a document; None where it is none, or names a letter or a place twice."""
    try:
        index = LetterIndex.model_validate(value)
    except (ValidationError, RecursionError):
        return None
    number = len(index.letters)
    places, ids = {entry.place for entry in index.letters}, {entry.id for entry in index.letters}
    return index if places == set(range(number)) and len(ids) == number else None
