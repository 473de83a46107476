"""What stands in the way of a migration, told before anything is touched: one sentence each, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migration_sidecar.alembic_environment.history import Finding, History, RevisionFile
from migration_sidecar.alembic_environment.target_database import MigrationTarget
from migration_sidecar.contract.messages import Action, DatabaseState, LockHolder, Problem
from migration_sidecar.database.facts import DatabaseFacts

ALEMBIC_VERSION_WIDTH = 32  # of the version column, where Alembic makes the table


def check_history(state: DatabaseState, facts: DatabaseFacts, history: History) -> Problem | None:
    """Why a database is none that this history made, or not all of it."""
    if not facts.has_version_column:
        return _not_ours("The version table has no column version_num, so it is not Alembic's.")
    if not set(facts.revisions) <= set(history.revisions):
        return _unknown_revision(facts, history)
    if (twice := _redundant_version_row(facts.revisions, history)) is not None:
        return _not_ours(f"The version table holds {', '.join(facts.revisions)}, and that includes {twice} twice.")
    if state is DatabaseState.UNMANAGED:
        return _unmanaged(facts)
    return None


def _unmanaged(facts: DatabaseFacts) -> Problem:
    elsewhere = [(name, held) for name, held in facts.other_histories.items() if held]
    if elsewhere:  # of no other history for certain, or this would not be asked
        name, held = elsewhere[0]
        detail = f"Table {name} holds {', '.join(sorted(held))}, an id that this history has too."
        next_step = (
            "If it is this history's, let env.py name it: version_table. If it is another's, give one of the two"
            " a schema of its own, or let bare Alembic make the first upgrade."
        )
    else:
        detail = "It was not made by this history, or its version row is gone, so nothing can be assumed."
        next_step = (
            "Prove which revision it is at: migration-sidecar adopt --revision REVISION; "
            "or start from an empty database, or in a schema with a version table of its own."
        )
    return Problem.of("CM-552", f"The database has tables but no revision. {detail}", next_step=next_step)


def check_database(facts: DatabaseFacts, there: Problem | None) -> Iterator[Problem]:
    """What the database itself has against a migration."""
    if there is not None:
        yield there
    if facts.read_only:
        yield READ_ONLY
    if facts.pooled:
        yield POOLED
    if (lacking := no_records(facts)) is not None:
        yield lacking


def check_revision_files(
    steps: Sequence[RevisionFile], action: Action, history: History, facts: DatabaseFacts, found: MigrationTarget
) -> Iterator[Problem]:
    """What the revisions to come cannot do the way they are written."""
    width = facts.version_width if facts.has_version_table else ALEMBIC_VERSION_WIDTH
    for step in steps:
        for finding in step.findings:
            if finding.action is action and _matters(finding, found):
                yield _FINDINGS[finding.kind](step, finding)
        is_wider = history.makes_version_table and not facts.has_version_table
        if action is Action.UPGRADE and width is not None and len(step.id) > width and not is_wider:
            yield _too_long(step, width)


def _matters(finding: Finding, found: MigrationTarget) -> bool:
    """What cannot be done depends on the connection that env.py makes."""
    if finding.kind == "autocommit_block":
        return found.in_transaction
    return finding.kind != "concurrently" or not found.autocommit


def warnings(steps: Sequence[RevisionFile], found: MigrationTarget, waiting: Sequence[LockHolder]) -> Iterator[Problem]:
    """What does not stop a migration, but who decides about it should know."""
    yield from (_waits_for(who) for who in waiting)
    if found.in_transaction and len(steps) > 1:
        yield Problem.of(
            "CM-411",
            "env.py opens a transaction before context.configure, so they are applied or lost together.",
        )


READ_ONLY = Problem.of(
    "CM-521",
    "The database is a standby or set to read-only.",
)
POOLED = Problem.of(
    "CM-541",
    "The session that answers is not the one that was opened, and behind a pooler the lock protects nothing.",
)


def _unknown_revision(facts: DatabaseFacts, history: History) -> Problem:
    at, heads = ", ".join(facts.revisions), ", ".join(history.heads) or "nothing"
    return Problem.of(
        "CM-551" if facts.is_ours else "CM-552",
        f"The database is at {at}, this image knows up to {heads}.",
        next_step=None
        if facts.is_ours
        else "Check that this is the service's own database, or deploy an image that knows that revision.",
    )


def _redundant_version_row(rows: Sequence[str], history: History) -> str | None:
    """A row that another row already includes; Alembic would apply what follows it a second time."""
    for number, row in enumerate(rows):
        others = [each for place, each in enumerate(rows) if place != number]
        if any(row in history.lineage(other) for other in others):
            return row
    return None


def _not_ours(detail: str) -> Problem:
    return Problem.of(
        "CM-552",
        detail,
        next_step="Find out who wrote it; then correct the row, or give this history a version table of its own.",
    )


def no_records(facts: DatabaseFacts) -> Problem | None:
    """Why this role cannot keep the journal, which a migration begins with."""
    if facts.missing_grant is None:
        return None
    return Problem.of(
        "CM-504",
        f"The journal cannot be kept in this database without {facts.missing_grant}.",
        next_step=f"{facts.missing_grant}; or name a table that the journal may use: --journal-table.",
    )


def _concurrently(step: RevisionFile, finding: Finding) -> Problem:
    return Problem.of(
        "CM-305",
        f"{step.name}:{finding.line} builds or drops an index CONCURRENTLY inside the revision's transaction.",
        revision=step.id,
    )


def _cannot_leave(step: RevisionFile, finding: Finding) -> Problem:
    return Problem.of(
        "CM-305",
        f"{step.name}:{finding.line}: autocommit_block cannot leave the transaction that env.py began.",
        next_step="Let env.py hand over a connection without a transaction: connect() instead of begin().",
        revision=step.id,
    )


def _offline_only(step: RevisionFile, finding: Finding) -> Problem:
    return Problem.of(
        "CM-307",
        f"{step.name}:{finding.line} refuses to run with a database connection.",
        revision=step.id,
    )


def _no_way_back(step: RevisionFile, finding: Finding) -> Problem:
    what = "has no downgrade()" if finding.kind == "missing" else f"says at line {finding.line} that it has none"
    return Problem.of(
        "CM-206",
        f"{step.name} would have to be reverted, and it {what}.",
        revision=step.id,
    )


def _missing(step: RevisionFile, finding: Finding) -> Problem:
    if finding.action is Action.DOWNGRADE:
        return _no_way_back(step, finding)
    return Problem.of(
        "CM-302",
        f"{step.name} has no upgrade().",
        next_step="Write one; pass is enough where nothing is to be done.",
        revision=step.id,
    )


def _too_long(step: RevisionFile, width: int) -> Problem:
    return Problem.of(
        "CM-302",
        f"{step.name} has a revision id of {len(step.id)} characters; the version column holds {width}.",
        next_step="Shorten the id, or make the column wider.",
        revision=step.id,
    )


_FINDINGS = {
    "concurrently": _concurrently,
    "autocommit_block": _cannot_leave,
    "offline_only": _offline_only,
    "raises": _no_way_back,
    "missing": _missing,
}


def _waits_for(who: LockHolder) -> Problem:
    name = who.application or "no application name"
    since = f" since {who.since:%Y-%m-%d %H:%M:%S %Z}" if who.since else ""
    return Problem.of(
        "CM-404",
        f"Pid {who.pid} ({name}) has a lock or an open transaction{since}.",
        next_step="The migration waits for it; look at that session if it does not end.",
    )
