"""The exit codes of the `coordinator` command."""

from __future__ import annotations

from enum import IntEnum

# A run in these states waits for a decision, so waiting longer would only block a pipeline.
WAITING_FOR_A_PERSON = frozenset({"awaiting_approval", "paused", "needs_attention"})
_WENT_WRONG = frozenset({"failed", "cancelled", "compensated"})


class ExitCode(IntEnum):
    """Documented in the help of `coordinator`; scripts depend on the numbers."""

    DONE = 0
    MIGRATION_FAILED = 1
    DOES_NOT_HOLD = 1  # the audit, a file or a comparison is not as it should be
    BAD_INPUT = 2
    CANNOT_REACH = 3
    PERSON_NEEDED = 4
    INTERRUPTED = 130  # Ctrl-C, the number that shells use; the run itself goes on


def of_run(state: str) -> ExitCode:
    """The exit code for a run in this state. A run that has not ended gives DONE, because nothing has gone wrong."""
    if state in WAITING_FOR_A_PERSON:
        return ExitCode.PERSON_NEEDED
    if state in _WENT_WRONG:
        return ExitCode.MIGRATION_FAILED
    return ExitCode.DONE
