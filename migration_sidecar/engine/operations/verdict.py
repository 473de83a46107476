"""Decides how an attempt ended by what the database says. A connection error or an exit code alone decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.journal_table import JournalRow
from migration_sidecar.protocol.reports import ProblemFacts

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"  # the server ended the migration's transaction
TOO_MANY_CONNECTIONS = "53300"
FINISHED = {"applied", "reverted"}
ENV_PY_FAILED = "CM-407"
CLOSING = {"failed", "refused", "cancelled", "resolved"}


class Decision(StrEnum):
    """What follows from an attempt."""

    SUCCEEDED = "succeeded"  # nothing is left to do
    AGAIN = "again"  # nothing of the attempt took effect, and the reason is temporary
    FAILED = "failed"  # it stopped at a whole revision
    ATTENTION = "attention"  # something took effect that no finished revision explains


@dataclass(frozen=True)
class ReadBack:
    """What was read from the database after an attempt. If its end was unclear, we held the migration lock."""

    revisions: list[str]  # what the version table holds
    rows: list[JournalRow]  # of this operation
    moved: list[str]  # revisions that the version table gained (upgrade) or lost (downgrade) since the operation began
    recorded: set[str]  # those of `moved` that have a journal row
    left: int  # revisions still to be applied or reverted
    obstacles: list[Problem]
    invalid_indexes: list[str]  # the statements that drop them; read only after an unfinished revision

    @property
    def last_attempt(self) -> int:
        """The number of the last attempt that has a journal row, or 0."""
        return max((row.attempt for row in self.rows), default=0)

    @property
    def unclosed_attempt(self) -> int:
        """The number of an attempt without a closing journal row, or 0."""
        numbers = {row.attempt for row in self.rows if row.kind == "attempt"}
        closed = {row.attempt for row in self.rows if row.kind in CLOSING and row.revision is None}
        return max(numbers - closed, default=0)

    @property
    def several_sessions(self) -> bool:
        """Whether env.py configured several sessions. `left` may then not count the revisions of all histories."""
        return sum(row.kind == "attempt" and row.attempt == self.last_attempt for row in self.rows) > 1


@dataclass(frozen=True)
class WorkerExit:
    """How a worker process ended: its problem, and `lost` if it reported no end or lost its connection."""

    problem: ProblemFacts | None = None
    lost: bool = False


def decide(
    ending: WorkerExit, read_back: ReadBack, service: str, *, only_connects: bool = True
) -> tuple[Decision, Problem | None]:
    """Each branch is one row of the table in docs/engine.md; the most serious comes first. Called by the executor.

    `only_connects` says that env.py has no effect of its own. Otherwise it has to end well, too.
    """
    half_done = unfinished_revision(read_back.rows)
    if half_done is not None:
        return Decision.ATTENTION, _revision_ended_transaction(half_done, ending, read_back, service)
    unexplained = [revision for revision in read_back.moved if revision not in read_back.recorded]
    if unexplained:
        return Decision.ATTENTION, _changed_elsewhere(unexplained, service)
    if read_back.left == 0 and _is_complete(ending, read_back, only_connects=only_connects):
        return Decision.SUCCEEDED, None
    if ending.lost:
        return Decision.AGAIN, _lost(service)
    if ending.problem is None:
        return Decision.ATTENTION, _version_changed(service)
    problem = Problem.of(**ending.problem, service=service)
    passes = problem.sqlstate in (LOCK_NOT_AVAILABLE, DEADLOCK, TOO_MANY_CONNECTIONS)
    return (Decision.AGAIN if passes else Decision.FAILED), problem


def _is_complete(ending: WorkerExit, read_back: ReadBack, *, only_connects: bool) -> bool:
    """Whether nothing is missing if no revision is left."""
    if ending.problem is None and not ending.lost:
        return True
    if ending.problem is not None and not ending.lost and ending.problem["code"] == ENV_PY_FAILED:
        return False
    return only_connects and (ending.lost or not read_back.several_sessions)


def unfinished_revision(rows: list[JournalRow]) -> JournalRow | None:
    """The row of a revision that began and was committed without an end; None if there is none."""
    # A failure rolls `started` back, so a `started` without an end means that a part was committed.
    open_rows: dict[tuple[str, int, str | None], JournalRow] = {}
    for row in rows:
        key = (row.version_table, row.attempt, row.revision)
        if row.kind in FINISHED:
            open_rows.pop(key, None)
        elif row.kind in ("started", "nontx_started"):
            open_rows[key] = row
    return next(reversed(open_rows.values()), None)


def _revision_ended_transaction(row: JournalRow, ending: WorkerExit, read_back: ReadBack, service: str) -> Problem:
    own: ProblemFacts | dict[str, None] = ending.problem or {}
    reason = f" It {own['cause']}." if own.get("cause") else f" {own['detail']}" if own.get("detail") else ""
    facts = {"sqlstate": own.get("sqlstate"), "server_message": own.get("server_message"), "revision": row.revision}
    if row.kind != "nontx_started":
        detail = f"Revision {row.revision} committed by itself and then failed, so a part of it exists.{reason}"
        return Problem.of("CM-402", detail, service=service, **facts)
    exists = " ".join(read_back.invalid_indexes)
    return Problem.of(
        "CM-405",
        f"Revision {row.revision} is not transactional and did not end: a part of it may exist.{reason}",
        next_step=f"Mend what made it fail, then migrate again: that drops the INVALID index that this revision left"
        f" and builds it again; by hand that is {exists}."
        if exists
        else None,
        service=service,
        **facts,
    )


def _changed_elsewhere(revisions: list[str], service: str) -> Problem:
    return Problem.of(
        "CM-552",
        f"{', '.join(revisions)} came or went without a journal row, by a tool that takes no lock.",
        next_step="Find out who runs Alembic without this library, then migrate again.",
        service=service,
    )


def _version_changed(service: str) -> Problem:
    return Problem.of(
        "CM-552",
        "The migration ended well, but the version row is not at the target.",
        next_step="Find out who changed the version table, then migrate again.",
        service=service,
    )


def _lost(service: str) -> Problem:
    detail = "The database was asked, and nothing of the revision under way took effect."
    return Problem.of("CM-514", detail, service=service)
