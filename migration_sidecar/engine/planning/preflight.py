"""Finds obstacles to a migration before it changes anything. Each is one sentence with a next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migration_sidecar.alembic_environment.history import Finding, History, RevisionFile
from migration_sidecar.alembic_environment.migration_target import MigrationTarget
from migration_sidecar.contract.messages import Action, DatabaseState, LockHolder, Problem
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.engine.planning import version_width
from migration_sidecar.protocol.first_upgrade.rule import WAYS_OUT, describe


def check_history(state: DatabaseState, facts: DatabaseFacts, history: History) -> Problem | None:
    """The problem if this history did not make the database, or not all of it."""
    if not facts.has_version_column:
        return _foreign_version_table("The version table has no column version_num, so it is not Alembic's.")
    if not set(facts.revisions) <= set(history.revisions):
        return _unknown_revision(facts, history)
    if (twice := _redundant_version_row(facts.revisions, history)) is not None:
        return _foreign_version_table(
            f"The version table holds {', '.join(facts.revisions)}, and that includes {twice} twice."
        )
    if state is DatabaseState.UNMANAGED:
        return _unmanaged(facts, history)
    return None


def _unmanaged(facts: DatabaseFacts, history: History) -> Problem:
    detail = describe(facts.in_the_way(history.file_hashes, history.makes))
    elsewhere = [(name, held) for name, held in facts.other_histories.items() if held & set(history.revisions)]
    if not elsewhere:
        return Problem.of("CM-552", detail, next_step=WAYS_OUT)
    name, held = elsewhere[0]
    detail += f" Table {name} holds {', '.join(sorted(held))}, an id that this history has too."
    rename = f"If {name} is this history's, let env.py name it: version_table."
    return Problem.of("CM-552", detail, next_step=f"{rename} {WAYS_OUT}")


def check_database(
    facts: DatabaseFacts, history_problem: Problem | None, migration_target: MigrationTarget
) -> Iterator[Problem]:
    """The problems of the database itself. `history_problem` is the result of `check_history`."""
    if history_problem is not None:
        yield history_problem
    if facts.read_only or migration_target.access == "read_only":
        yield READ_ONLY
    if facts.pooled:
        yield POOLED
    if (lacking := missing_grant_problem(facts)) is not None:
        yield lacking


def journal_in_sight(migration_target: MigrationTarget, *, has_journal: bool) -> Problem | None:
    """The problem if autogenerate would see a journal that is not there yet, and nobody chose its place."""
    is_obstacle = migration_target.sees_journal and not migration_target.is_journal_chosen and not has_journal
    return JOURNAL_IN_SIGHT if is_obstacle else None


def check_revision_files(
    steps: Sequence[RevisionFile],
    action: Action,
    history: History,
    facts: DatabaseFacts,
    migration_target: MigrationTarget,
) -> Iterator[Problem]:
    """The problems of the revision files to run."""
    for step in steps:
        for finding in step.findings:
            if finding.action is action and _applies(finding, migration_target):
                yield _FINDINGS[finding.kind](step, finding)
    if action is Action.UPGRADE:
        yield from version_width.obstacles(steps, history, facts)


def _applies(finding: Finding, migration_target: MigrationTarget) -> bool:
    """Whether the finding is an obstacle, which depends on the connection that env.py opens."""
    if finding.kind == "autocommit_block":
        return migration_target.in_transaction
    return finding.kind != "concurrently" or not migration_target.autocommit


def warnings(
    steps: Sequence[RevisionFile],
    migration_target: MigrationTarget,
    waiting: Sequence[LockHolder],
    *,
    has_journal: bool,
) -> Iterator[Problem]:
    """Remarks that do not prevent a migration, but matter for the person who decides."""
    yield from (_lock_warning(who) for who in waiting)
    if migration_target.unseen is not None:
        yield migration_target.unseen
    if migration_target.in_transaction and len(steps) > 1:
        yield Problem.of(
            "CM-411",
            "env.py opens a transaction before context.configure, so they are applied or lost together.",
        )
    # A single revision makes no difference, unless env.py executes something behind it in the same transaction.
    if migration_target.is_split and (len(steps) > 1 or (steps and not migration_target.only_connects)):
        yield Problem.of("CM-414", "env.py asks for one transaction, and transaction_per_revision is set.")
    if migration_target.sees_journal and journal_in_sight(migration_target, has_journal=has_journal) is None:
        yield JOURNAL_IN_SIGHT


JOURNAL_IN_SIGHT = Problem.of(
    "CM-415",
    "env.py passes include_schemas and no filter for the journal's schema; nothing was made.",
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
    """A row that another row already includes. Alembic would apply the revisions after it a second time."""
    for number, row in enumerate(rows):
        others = [each for place, each in enumerate(rows) if place != number]
        if any(row in history.lineage(other) for other in others):
            return row
    return None


def _foreign_version_table(detail: str) -> Problem:
    return Problem.of(
        "CM-552",
        detail,
        next_step="Find out who wrote it; then correct the row, or give this history a version table of its own.",
    )


def missing_grant_problem(facts: DatabaseFacts) -> Problem | None:
    """The problem (CM-504) if this role cannot write the journal, which every migration does first; otherwise None."""
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


def _autocommit_block_in_transaction(step: RevisionFile, finding: Finding) -> Problem:
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


def _irreversible(step: RevisionFile, finding: Finding) -> Problem:
    what = "has no downgrade()" if finding.kind == "missing" else f"says at line {finding.line} that it has none"
    return Problem.of(
        "CM-206",
        f"{step.name} would have to be reverted, and it {what}.",
        revision=step.id,
    )


def _missing_function(step: RevisionFile, finding: Finding) -> Problem:
    if finding.action is Action.DOWNGRADE:
        return _irreversible(step, finding)
    return Problem.of(
        "CM-302",
        f"{step.name} has no upgrade().",
        next_step="Write one; pass is enough where nothing is to be done.",
        revision=step.id,
    )


def _drops_journal(step: RevisionFile, finding: Finding) -> Problem:
    return Problem.of(
        "CM-415",
        f"{step.name}:{finding.line} drops the journal of migrations, as autogenerate writes it.",
        next_step="Remove what that file says about schema migration_sidecar, in downgrade() too.",
        revision=step.id,
    )


_FINDINGS = {
    "concurrently": _concurrently,
    "autocommit_block": _autocommit_block_in_transaction,
    "offline_only": _offline_only,
    "raises": _irreversible,
    "missing": _missing_function,
    "drops_journal": _drops_journal,
}


def _lock_warning(who: LockHolder) -> Problem:
    name = who.application or "no application name"
    since = f" since {who.since:%Y-%m-%d %H:%M:%S %Z}" if who.since else ""
    return Problem.of(
        "CM-404",
        f"Pid {who.pid} ({name}) has a lock or an open transaction{since}.",
        next_step="The migration waits for it; look at that session if it does not end.",
    )
