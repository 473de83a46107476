"""Revision files (CM-3xx) and what happens while they are applied (CM-4xx)."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

NO_SCRIPT_LOCATION = (
    "Write script_location into it. Where a Flask application names the folder: leave --config out, in the folder where"
    " flask is started, or name the application with --app."
)

# fmt: off
REVISION_FILES = (
    ProblemKind(
        "CM-301", "The history has several heads", 422, 2,
        when="the target is `head`, there is more than one (two revisions build on the same one, or none builds on "
        "both), and the database is not at all of them; or the same of `BRANCH@head`. `heads` is all of them: "
        "`coordinator request --all --target heads`, or `--target SERVICE=heads` for one; `migration-sidecar upgrade "
        "heads`. Where it stays so, `target = \"heads\"` or `\"BRANCH@head\"` in the service's entry in `fleet.toml`",
        next_step="Create a merge revision (alembic merge heads), or name the target: heads for all of them."),
    ProblemKind(
        "CM-302", "The history does not hold together", 422, 2,
        when="a revision is missing or there twice, a circle, no `upgrade()`, an id that is no word of `A-Z a-z 0-9 _ "
        ".` or too long for the version column, or Alembic refuses the target; the message has file and line",
        next_step="Correct the revision files and try again."),
    ProblemKind(
        "CM-303", "The migration folder or its configuration file cannot be used", 422, 2,
        when="the configuration file is not there, `script_location` is missing or names nothing, `env.py` is missing, "
        "no revision is there, only compiled ones, or only in subfolders that are not looked into, a file among them "
        "is no revision or cannot be read",
        next_step="Correct script_location, or put the folder into the image."),
    ProblemKind(
        "CM-304", "A revision file cannot be loaded", 422, 2,
        when="syntax or import error, an exception, or loading did not end within `loading_seconds`; the message has "
        "file and line",
        next_step="Correct that file and try again."),
    ProblemKind(
        "CM-305", "A statement cannot run in a transaction", None, 2,
        when="an index built `CONCURRENTLY` without `autocommit_block`, or `autocommit_block` where `env.py` opened a "
        "transaction; found in the text before, or while it ran and was undone",
        next_step="Put that statement into: with op.get_context().autocommit_block():"),
    ProblemKind(
        "CM-306", "The plan has changed", 409, 2,
        when="since the plan was made, a file or the database moved; a file that the operation was accepted with is "
        "gone",
        next_step="Ask for the plan again and decide again."),
    ProblemKind(
        "CM-307", "A revision runs offline only", None, 2,
        when="it raises unless Alembic runs with `--sql`",
        next_step="Run its SQL by hand (alembic upgrade --sql), and stamp that revision with alembic."),
    ProblemKind(
        "CM-308", "The revision files are still being loaded", 503, 2,
        when="a plan or operation waits ten seconds, a status two where it can tell what it read before; `env.py` and "
        "what it imports count too; `loading_seconds` (120) is how long it may take before it is ended and named",
        next_step="Ask again; the loading goes on.", retryable=True),
)
MIGRATION = (
    ProblemKind(
        "CM-401", "A revision failed", None, 1,
        when="it raised, or ended its own process; its transaction was rolled back, and the database is at the "
        "revision before. The message has file and line; SQLSTATE, and in `server_message` the server's own words with "
        "the statement, each literal in it as `…`, are in the answer",
        next_step="Correct the revision file and migrate again; what was applied before stays applied."),
    ProblemKind(
        "CM-402", "A revision ended its own transaction", None, 4,
        when="it committed by itself and then failed: a part of it exists",
        next_step="Compare the database with the revision file, remove what it left, then migrate again."),
    ProblemKind(
        "CM-403", "The deadline passed", None, 1,
        when="the operation was ended; the database is at a whole revision",
        next_step="Look at what the revision waits for, or give it a longer deadline."),
    ProblemKind(
        "CM-404", "A lock is taken", 409, 2,
        when="somebody holds the migration lock, or a table that a revision needs, beyond the time to wait; as a "
        "warning in a plan also a transaction open for a minute. The holder is named",
        next_step="Wait until that session is done, or look at what it does, and try again.", retryable=True),
    ProblemKind(
        "CM-405", "A revision could not be completed", None, 4,
        when="it runs outside a transaction and stopped half way; a part of it may exist, invalid indexes are named. "
        "Or an invalid index that it did not make is in its way: then nothing was done. An invalid index that the "
        "revision itself left is dropped and built again by the next attempt",
        next_step="Compare the database with the revision file, remove what it left, then migrate again."),
    ProblemKind(
        "CM-406", "The migration lock was lost", None, 1,
        when="a statement in the revision dropped it (`DISCARD ALL`, `pg_advisory_unlock_all`)",
        next_step="Nothing of this revision was kept; look for a statement that drops advisory locks, and try again."),
    ProblemKind(
        "CM-407", "The migration environment failed", 422, 2,
        when="`env.py` raised or ended its process, or had not ended within `loading_seconds`; or, while a database is "
        "adopted, it did not configure within a minute. The message has file and line of an error",
        next_step="Correct env.py or the connection, and try again."),
    ProblemKind(
        "CM-408", "The operation was cancelled", None, 1,
        when="it stopped at a whole revision",
        next_step="Migrate again when it should go on."),
    ProblemKind(
        "CM-409", "No migration process can be started", 503, 2,
        when="revision files are loaded and run in processes of their own, and none got ready: the interpreter cannot "
        "be started, or lacks Alembic 1.7 or SQLAlchemy 1.4; nothing was touched",
        next_step="Look at the memory and process limits of this service, and at its log.", retryable=True),
    ProblemKind(
        "CM-410", "env.py did not commit", None, 1,
        when="it used the connection before `context.configure`, or ran the migrations outside of "
        "`context.begin_transaction()`, so nobody committed the revisions, or it rolled them back to a savepoint; "
        "nothing was kept",
        next_step="Let env.py commit, or call connection.commit() before context.configure."),
    ProblemKind(
        "CM-411", "All revisions share one transaction", None, 0,
        when="a warning in a plan: `env.py` opens a transaction before `context.configure`, so they are applied or "
        "lost together",
        next_step="Nothing, if that is meant; else let env.py pass a connection without a transaction."),
    ProblemKind(
        "CM-412", "Several version tables are at different revisions", None, 0,
        when="`env.py` keeps more than one in this database, such as one per tenant; status and plan tell the one with "
        "most to do",
        next_step="Upgrade: one operation brings all of them to its target."),
    ProblemKind(
        "CM-413", "env.py could not be previewed to its end", None, 0,
        when="a warning in a status or plan, which run `env.py` without keeping what it writes and without waiting for "
        "locks: it met an error by that, or one that other arguments or the revisions still to run may prevent; what "
        "it told before counts, and the upgrade goes on under guard",
        next_step="Upgrade: what env.py does then is checked under the lock."),
    ProblemKind(
        "CM-414", "Each revision gets a transaction of its own", None, 0,
        when="a warning in a plan: `transaction_per_revision` is set, and `env.py` asks for one transaction",
        next_step="Nothing, if that is meant; else remove transaction_per_revision."),
    ProblemKind(
        "CM-415", "Alembic's autogenerate takes the journal for a table to drop", 409, 2,
        when="`env.py` passes `include_schemas` and metadata, and no filter leaves out the journal: `alembic check` "
        "would fail, and `alembic revision --autogenerate` would drop it. Nothing was made. Only a warning where the "
        "journal is there already or `journal_table` names its place. Or a revision file drops the journal "
        "([what autogenerate sees](environments.md#what-autogenerate-sees))",
        next_step="Pass a filter to context.configure: include_name=lambda name, kind, parents: (kind, name) != "
        "('schema', 'migration_sidecar'). Where nobody uses autogenerate: --journal-table migration_sidecar.journal."),
    ProblemKind(
        "CM-416", "Something is known only when it runs", None, 0,
        when="a warning in a plan: `env.py` changes the version table before it migrates, or a revision may widen it; "
        "what is wrong then is refused before the first change, or directly before that revision",
        next_step="Nothing, if that is meant."),
)
