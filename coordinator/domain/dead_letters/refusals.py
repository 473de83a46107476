"""Why a dead letter cannot be shown or resubmitted."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.errors import CoordinatorError, quote_for_message


class NoSuchLetter(CoordinatorError):
    """No letter has this id."""

    code = "CM-604"
    next_step = "coordinator dead-letters list shows those that are kept: the newest thousand."

    def __init__(self, name: str) -> None:
        super().__init__(f"No dead letter {quote_for_message(name)} is kept.")


class SeveralLetters(CoordinatorError):
    """The id that the publisher knows is that of several letters, so it does not say which one is meant."""

    code = "CM-603"
    next_step = "Name one of them by its own id; coordinator dead-letters show ID shows what is in it."

    def __init__(self, name: str, letters: Sequence[str]) -> None:
        super().__init__(
            f"{len(letters)} dead letters came under the id {quote_for_message(name)}: {', '.join(letters[:5])}."
        )


class LetterNotResubmittable(CoordinatorError):
    """Whatever the rules of today say of the event in it."""

    code = "CM-605"
