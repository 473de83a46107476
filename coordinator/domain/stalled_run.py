"""That a run stands still, as data: which of the reasons it is, and the sentence that people read."""

from __future__ import annotations

from enum import StrEnum


class Standstill(StrEnum):
    STILL = "still"  # nothing carries the run out
    TAKEN_UP = "taken_up"  # nothing did, so its workflow was ended, and one that begins anew is on its way
    PAUSED = "paused"  # somebody paused its workflow in Dapr


SENTENCES = {
    Standstill.STILL: (
        "Its workflow does not move: at the moment nothing carries this run out. It is taken up again by itself."
    ),
    Standstill.TAKEN_UP: "Its workflow did not move and was ended, so that the run is taken up again from its record.",
    Standstill.PAUSED: (
        "Its workflow was paused in Dapr, by hand. The run goes on when it is resumed there; see the operating guide."
    ),
}


def told(standstill: Standstill | None, waiting_for: str | None) -> str | None:
    """Why nothing goes on. What was waited for before may be there by now, so it comes second."""
    if standstill is None:
        return waiting_for
    return SENTENCES[standstill] + (f" What it said last: {waiting_for}" if waiting_for else "")
