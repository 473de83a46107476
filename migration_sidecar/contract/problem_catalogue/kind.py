"""What all problems with one code have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemKind:
    """One row of the table. A site that raises the problem adds the facts, and a special next step where it knows one.

    `status` is the HTTP status; None for a problem that only stands inside an operation, a plan, a run or a command's
    answer. `exit_code` is that of a command which is refused with this problem. `retryable` says that the same call may
    succeed later although nobody changed anything. `when` is Markdown for docs/errors.md and is shown nowhere else.
    """

    code: str
    title: str
    status: int | None
    exit_code: int
    when: str
    next_step: str
    retryable: bool = False
