"""What one turn of the workflow ended with."""

from __future__ import annotations

from typing import Any, NamedTuple

# A held run is looked at again at least so often, so that a wake that was lost costs no more.
LONGEST_WAIT_SECONDS = 30.0


class Turn(NamedTuple):
    """Whether the run is over for this workflow; if not, how many seconds nothing can be done unless it is woken."""

    over: bool = False
    wait_seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """As it is kept in the workflow's history."""
        return {"over": self.over, "wait_seconds": self.wait_seconds}


OVER = Turn(over=True)
AGAIN = Turn()
