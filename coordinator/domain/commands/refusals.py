"""Why a command is refused, and how a run ends whose time is over."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.errors import CoordinatorError


class NotPossibleNow(CoordinatorError):
    """The state of the run does not allow the verb; nothing was changed."""

    code = "CM-606"

    def __init__(self, request_id: str, verb: str, state: str, possible: Iterable[str]) -> None:
        allowed = ", ".join(possible) or "nothing: it has ended"
        super().__init__(
            f"Run {request_id} is {state}, so it cannot {verb} now. Possible is {allowed}.", request_id=request_id
        )


class ApprovalDoesNotHold(CoordinatorError):
    """The approval names another plan, or comes from somebody who may not give it."""

    code = "CM-607"


class DeadlinePassed(CoordinatorError):
    """The deadline of the request came before all steps had started."""

    code = "CM-608"

    def __init__(self, request_id: str, deadline: str) -> None:
        super().__init__(f"The deadline of run {request_id} was {deadline}; no step starts after it.")
        self.request_id = request_id


class Rejected(CoordinatorError):
    """Somebody who may approve the run refused it: the error of the run that ends by it."""

    code = "CM-607"
    next_step = "Ask again with what the person who refused it wants to see, under a new request id."

    def __init__(self, request_id: str, by: str, reason: str) -> None:
        super().__init__(f"{by} rejected the plan: {reason}", request_id=request_id)
