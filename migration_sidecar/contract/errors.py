"""Everything that can go wrong around one database, each error building its own sentence: what, why, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from migration_sidecar.contract.messages import LockHolder, Problem

LONGEST_SHOWN = 80  # of what somebody sent


class ProblemError(Exception):
    """Base of all errors a caller sees; `status` is the HTTP status that goes with the problem."""

    def __init__(
        self,
        code: str,
        title: str,
        detail: str,
        next_step: str,
        *,
        status: int = 500,
        retryable: bool = False,
        revision: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        from migration_sidecar.contract.messages import (
            Problem,  # takes longer to load than settings without an error to read
        )

        super().__init__(f"{code} {title}: {detail} {next_step}")
        self.status = status
        self.problem = Problem(
            code=code,
            title=title,
            detail=detail,
            next_step=next_step,
            retryable=retryable,
            revision=revision,
            sqlstate=sqlstate,
        )

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The error for a problem that arrived as data."""
        error = cls(problem.code, problem.title, problem.detail, problem.next_step, retryable=problem.retryable)
        error.problem = problem
        return error


class NotAdopted(ProblemError):
    """Nothing was stamped, and the database is as it was."""


class BadRequest(ProblemError):
    """A message was not of the agreed form; nothing was read or written."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "CM-603",
            "The request was not understood",
            detail,
            "Send only the documented fields, with the documented types.",
            status=422,
        )


class BodyTooLarge(ProblemError):
    """Reading stopped at the limit."""

    def __init__(self, limit_bytes: int) -> None:
        detail = f"More than {limit_bytes} bytes were sent."
        super().__init__("CM-106", "The body is too large", detail, "Send a smaller body.", status=413)


class UnknownTarget(ProblemError):
    """The target is no revision of this history."""

    def __init__(self, target: str) -> None:
        shown = target if len(target) <= LONGEST_SHOWN else f"{target[:LONGEST_SHOWN]}…"
        super().__init__(
            "CM-203",
            "The target is unknown",
            f"{shown!r} is no full revision id of this service.",
            "Name a full revision id, or head.",
            status=422,
        )


class NotApplied(ProblemError):
    """A downgrade cannot end at a revision that the database never reached."""

    def __init__(self, target: str) -> None:
        super().__init__(
            "CM-205",
            "The target is not applied",
            f"The database is not at or above {target!r}, so nothing can be reverted down to it.",
            "Look at the status, and name a revision below the current one.",
            status=422,
        )


class UnknownOperation(ProblemError):
    """No operation with this id was ever accepted here."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(
            "CM-604",
            "There is no such operation",
            f"No operation {operation_id!r} was accepted by this service.",
            "Send it with POST /migrations/operations, or check the id.",
            status=404,
        )


class OtherBody(ProblemError):
    """An operation id came back with a different body."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(
            "CM-601",
            "This id was used for something else",
            f"Operation {operation_id!r} was accepted with another body.",
            "Send the same body again, or choose a new id.",
            status=409,
        )


class PlanChanged(ProblemError):
    """The caller agreed to a plan that is no longer the plan."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "CM-306",
            "The plan has changed",
            detail,
            "Ask for the plan again and decide again.",
            status=409,
            retryable=False,
        )


class HistoryUnreadable(ProblemError):
    """The revision files could not be loaded (CM-301 to CM-305); no database was touched."""

    def __init__(self, code: str, title: str, detail: str, next_step: str) -> None:
        super().__init__(code, title, detail, next_step, status=422)


class StillLoading(ProblemError):
    """Whoever asked cannot wait any longer; the loading goes on."""

    def __init__(self, seconds: float, longest: float) -> None:
        super().__init__(
            "CM-308",
            "The revision files are still being loaded",
            f"They, env.py and what it imports have been loading for {seconds:.0f} s; no database was touched.",
            f"Ask again; what is not loaded within {longest:.0f} s is ended and named.",
            status=503,
            retryable=True,
        )


class NoConfiguration(ProblemError):
    """The file that was named is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "CM-303",
            "The configuration file is not there",
            f"The file {name} is not there.",
            "Name it with --config, or put it into the image; alembic init makes one.",
            status=422,
        )


class DatabaseUnreachable(ProblemError):
    """No session could be opened, or it was lost while reading (CM-501 to CM-533)."""

    def __init__(
        self,
        code: str,
        title: str,
        detail: str,
        next_step: str,
        *,
        retryable: bool = True,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(code, title, detail, next_step, status=503, retryable=retryable, sqlstate=sqlstate)


class NoProcess(ProblemError):
    """Revision files are loaded and run in processes of their own, and none could be started."""

    def __init__(
        self, reason: str, next_step: str = "Look at the memory and process limits of this service, and at its log."
    ) -> None:
        super().__init__(
            "CM-409",
            "No migration process can be started",
            f"{reason}; no database was touched.",
            next_step,
            status=503,
            retryable=True,
        )


class LockBusy(ProblemError):
    """Somebody else migrates this database, and the time to wait is over."""

    def __init__(self, holder: LockHolder | None) -> None:
        who = f"held by pid {holder.pid} ({holder.application})" if holder else "held by another session"
        super().__init__(
            "CM-404",
            "The migration lock is taken",
            f"The lock of this database is {who}.",
            "Wait until it is done, or look at that session.",
            status=409,
            retryable=True,
        )


class Misconfigured(ProblemError):
    """The service's own settings do not hold together; the value itself is never shown."""

    def __init__(self, key: str, reason: str) -> None:
        detail = f"{key}: {reason}."
        super().__init__("CM-701", "The configuration cannot be used", detail, "Correct it and start again.")


class OtherDatabase(ProblemError):
    """The service was sent to one database and its env.py migrates another; neither was touched."""

    def __init__(self, declared: str, configured: str) -> None:
        super().__init__(
            "CM-702",
            "env.py migrates another database",
            f"DATABASE_URL names database {declared}, and env.py connects to {configured}; nothing was touched.",
            "Let env.py use DATABASE_URL, correct or unset it, or name the database with --database-url.",
            status=409,
        )
