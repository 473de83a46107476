"""Why the workflow of a run does not move: the reason as data, and the sentence for people."""

from __future__ import annotations

from enum import StrEnum


class Standstill(StrEnum):
    """The reason, as the run record holds it."""

    STILL = "still"  # no workflow turn and no activity
    TAKEN_UP = "taken_up"  # its workflow stood still, and one of the next generation drives it
    PAUSED = "paused"  # its workflow was paused in Dapr


SENTENCES = {
    Standstill.STILL: (
        "Its workflow does not move: at the moment nothing carries this run out. It is taken up again by itself."
    ),
    Standstill.TAKEN_UP: "Its workflow did not move, so another one takes the run up from its record.",
    Standstill.PAUSED: (
        "Its workflow was paused in Dapr, by hand. After a minute another one takes the run up; to hold a run, use"
        " coordinator pause."
    ),
}


def standstill_sentence(standstill: Standstill | None, waiting_for: str | None) -> str | None:
    """One sentence on why a run does not go on; what it waited for before comes second, because that may be over."""
    if standstill is None:
        return waiting_for
    return SENTENCES[standstill] + (f" What it said last: {waiting_for}" if waiting_for else "")
