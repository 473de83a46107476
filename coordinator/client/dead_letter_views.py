"""What the coordinator answers about dead letters, as the command reads it."""

from __future__ import annotations

from coordinator.client.views import Moment, ProblemView, View


class BecameRunView(View):
    """The run that was made of a letter; `by` is empty where it was taken by itself at last."""

    request_id: str = ""
    at: Moment | None = None
    by: str = ""


class DeadLetterView(View):
    """One dead letter, as GET /dead-letters answers it; `event` only for a single one."""

    id: str = ""
    request_id: str = ""
    event_id: str = ""
    source: str = ""
    published_by: str = ""
    first_at: Moment | None = None
    last_at: Moment | None = None
    times: int = 1
    reason: ProblemView = ProblemView()
    body_bytes: int = 0
    is_whole: bool = True
    is_signed: bool = True
    run: BecameRunView | None = None
    event: str = ""

    @property
    def may_be_resubmitted(self) -> bool:
        """Whether that is worth trying: it is all there, and no run yet."""
        return self.is_whole and self.is_signed and self.run is None
