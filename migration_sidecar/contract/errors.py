"""Errors around one database. Each gives the facts of its problem; title and next step are in the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.contract.problem_catalogue.migrations import NO_SCRIPT_LOCATION

if TYPE_CHECKING:
    from migration_sidecar.contract.messages import LockHolder, Problem

LONGEST_SHOWN = 80  # of what somebody sent


class ProblemError(Exception):
    """Base of all errors a caller sees; `status` is the HTTP status that goes with the problem.

    `facts` are further fields of Problem, such as a `next_step` that is more special than the catalogue's.
    """

    always_status: ClassVar[int | None] = None  # of a kind of error that answers with one status whatever its code

    def __init__(self, code: str, detail: str, *, status: int | None = None, **facts: Any) -> None:
        from migration_sidecar.contract.messages import (
            Problem,  # takes longer to load than settings without an error to read
        )

        self.problem = Problem.of(code, detail, **facts)
        self.status = status or self.always_status or PROBLEM_KINDS[code].status or 500
        super().__init__(f"{code} {self.problem.title}: {detail} {self.problem.next_step}")

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The error for a problem that arrived as data."""
        error = cls.__new__(cls)
        Exception.__init__(error, f"{problem.code} {problem.title}: {problem.detail} {problem.next_step}")
        kind = PROBLEM_KINDS.get(problem.code)  # None for a code of a later release
        error.problem, error.status = problem, cls.always_status or (kind and kind.status) or 500
        return error


class NotAdopted(ProblemError):
    """Nothing was stamped, and the database is as it was."""


class BadRequest(ProblemError):
    """A message was not of the agreed form; nothing was read or written."""

    def __init__(self, detail: str) -> None:
        super().__init__("CM-603", detail, next_step="Send only the documented fields, with the documented types.")


class BodyTooLarge(ProblemError):
    """Reading stopped at the limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("CM-106", f"More than {limit_bytes} bytes were sent.")


class CallsCannotBeVerified(ProblemError):
    """Calls have to be signed, and no public keys are known."""

    def __init__(self, setting: str) -> None:
        super().__init__(
            "CM-108",
            f"Calls have to be signed here, and {setting} names no folder of public keys.",
            next_step=f"Set {setting} for this application.",
        )


class CallerNotPermitted(ProblemError):
    """The caller is proven and may not do this; nothing was done."""

    def __init__(self, detail: str, setting: str | None = None) -> None:
        next_step = f"Call as one of those that {setting} names, or add the caller there." if setting else None
        super().__init__("CM-109", detail, next_step=next_step)


class UnknownTarget(ProblemError):
    """The target is no revision of this history."""

    def __init__(self, target: str) -> None:
        shown = target if len(target) <= LONGEST_SHOWN else f"{target[:LONGEST_SHOWN]}…"
        super().__init__("CM-203", f"{shown!r} is no full revision id and no branch of this service.")


class RevisionNotApplied(ProblemError):
    """A downgrade cannot end at a revision that the database never reached."""

    def __init__(self, target: str) -> None:
        super().__init__(
            "CM-205", f"The database is not at or above {target!r}, so nothing can be reverted down to it."
        )


class UnknownOperation(ProblemError):
    """No operation with this id was ever accepted here."""

    def __init__(self, operation_id: str) -> None:
        next_step = "Send it with POST /migrations/operations, or check the id."
        super().__init__("CM-604", f"No operation {operation_id!r} was accepted by this service.", next_step=next_step)


class IdempotencyConflict(ProblemError):
    """An operation id came back with a different body."""

    def __init__(self, operation_id: str) -> None:
        super().__init__("CM-601", f"Operation {operation_id!r} was accepted with another body.")


class PlanChanged(ProblemError):
    """The caller agreed to a plan that is no longer the plan."""

    def __init__(self, detail: str) -> None:
        super().__init__("CM-306", detail)


class HistoryUnreadable(ProblemError):
    """The revision files could not be loaded (CM-301 to CM-305, CM-407); no database was touched."""

    always_status = 422


class EnvironmentStillLoading(ProblemError):
    """Whoever asked cannot wait any longer; the loading goes on."""

    def __init__(self, seconds: float, longest: float) -> None:
        super().__init__(
            "CM-308",
            f"They, env.py and what it imports have been loading for {seconds:.0f} s; no database was touched.",
            next_step=f"Ask again; what is not loaded within {longest:.0f} s is ended and named.",
        )


class NoConfiguration(ProblemError):
    """The file that was named is not there."""

    def __init__(self, name: str) -> None:
        next_step = "Name it with --config, or put it into the image; alembic init makes one."
        super().__init__("CM-303", f"The file {name} is not there.", next_step=next_step)


class NoEnvironment(ProblemError):
    """The configuration file leads to no env.py."""

    def __init__(self, name: str, *, named: bool) -> None:
        if named:
            super().__init__("CM-303", f"There is no env.py in the script_location that {name} names.")
        else:
            super().__init__("CM-303", f"{name} names no script_location.", next_step=NO_SCRIPT_LOCATION)


class DatabaseUnreachable(ProblemError):
    """No session could be opened, or it was lost while reading (CM-501 to CM-532)."""

    always_status = 503


class DatabaseRefused(DatabaseUnreachable):
    """The server answered one of our own statements with an error; its sentence is in `server_message` (CM-505)."""


class JournalInSight(ProblemError):
    """Autogenerate would take the journal for a table to drop (CM-415); it was not made."""

    always_status = 409


class WorkerUnavailable(ProblemError):
    """Revision files are loaded and run in processes of their own, and none could be started."""

    def __init__(self, reason: str, next_step: str | None = None) -> None:
        super().__init__("CM-409", f"{reason}; no database was touched.", next_step=next_step)


class LockBusy(ProblemError):
    """Somebody else migrates this database, and the time to wait is over."""

    def __init__(self, holder: LockHolder | None) -> None:
        who = f"held by pid {holder.pid} ({holder.application})" if holder else "held by another session"
        super().__init__("CM-404", f"The migration lock of this database is {who}.")


class Misconfigured(ProblemError):
    """The service's own settings do not hold together; the value itself is never shown."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__("CM-701", f"{key}: {reason}.")


class OtherDatabase(ProblemError):
    """The service was sent to one database and its env.py migrates another; neither was touched."""

    def __init__(self, declared: str) -> None:
        super().__init__(
            "CM-702",
            f"The option --database-url names {declared}, and env.py's own connection leads to another database;"
            " nothing was touched.",
        )
