"""The database of a service, the audit's among them (CM-5xx)."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

# fmt: off
DATABASE = (
    ProblemKind(
        "CM-501", "The password was refused", 503, 3,
        when="PostgreSQL refused it",
        next_step="Correct the service's DATABASE_URL."),
    ProblemKind(
        "CM-502", "The user was refused", 503, 3,
        when="no such role, not allowed in, TLS required",
        next_step="Create the role, or correct the service's DATABASE_URL."),
    ProblemKind(
        "CM-504", "A privilege is missing", 503, 3,
        when="no `CONNECT`; or nowhere to keep the journal: no `CREATE` on the database, no rights on its schema or "
        "tables ([rights of the role](environments.md#rights-of-the-role))",
        next_step="Have the privilege granted that is named; or keep the journal in another table: --journal-table."),
    ProblemKind(
        "CM-505", "The database refuses what the journal needs", 503, 3,
        when="an event trigger, a rule or a limit of the server forbids the journal, or a statement with which it is "
        "read or written; nothing was touched where the journal could not be made. `server_message` has the server's "
        "own words ([rights of the role](environments.md#rights-of-the-role))",
        next_step="Do what the server says; or keep the journal in a schema that exists: --journal-table "
        "SCHEMA.TABLE."),
    ProblemKind(
        "CM-511", "The database does not exist", 503, 3,
        when="the server has none of this name",
        next_step="Create it with createdb, or with ./scripts/setup_databases.sh for all."),
    ProblemKind(
        "CM-513", "The database cannot be reached", 503, 3,
        when="no session within 5 s",
        next_step="Check that it runs and that host and port are right.", retryable=True),
    ProblemKind(
        "CM-514", "The migration lost its connection or its process", None, 1,
        when="the database was asked: nothing of the revision under way took effect. Tried again, five times",
        next_step="Look at the database server, then migrate again.", retryable=True),
    ProblemKind(
        "CM-521", "The server takes no writes now", 503, 3,
        when="a standby, starting, stopping, or `default_transaction_read_only`",
        next_step="Point the service at the primary, or wait until the failover is over.", retryable=True),
    ProblemKind(
        "CM-522", "The audit is not ready", 503, 3,
        when="`cas_audit` is not migrated; [who may do what](audit-operations.md#who-may-do-what)",
        next_step="Migrate cas-audit; events wait at their senders until then.", retryable=True),
    ProblemKind(
        "CM-523", "The audit took too long", 503, 3,
        when="a statement was ended at its limit",
        next_step="Try again; when reading, narrow the question by request_id, service or type.", retryable=True),
    ProblemKind(
        "CM-524", "The audit is not being signed", 503, 3,
        when="its signing key is missing, open to others, or another one than before; the anchors cannot be kept "
        "outside the database, or differ from those in it; the chain is broken. Events are recorded all the same",
        next_step="Do what the detail names; readiness and /audit/verify say since when.", retryable=True),
    ProblemKind(
        "CM-525", "The event is not signed yet", 409, 2,
        when="it is after the last anchor",
        next_step="Ask again after the next anchor, at the latest AUDIT_ANCHOR_SECONDS after the event.",
        retryable=True),
    ProblemKind(
        "CM-526", "The audit is busy exporting", 503, 3,
        when="two exports are under way",
        next_step="Try again when one of them has ended.", retryable=True),
    ProblemKind(
        "CM-527", "The segment is left as it is", 409, 1,
        when="nothing to seal before that moment; the file is not the whole, signed segment; the login is no member of "
        "`cas_owner`",
        next_step="Do what the detail names."),
    ProblemKind(
        "CM-528", "The audit's keys are left as they are", 409, 1,
        when="the key that is to be taken out signs, was introduced, or is trusted outside; the key that is called "
        "lost is there; keys in the database and outside differ; the login is no member of `cas_owner`",
        next_step="Do what the detail names."),
    ProblemKind(
        "CM-531", "No connection is free", 503, 3,
        when="`max_connections` or the role's limit",
        next_step="Raise max_connections or the role's limit, or close idle sessions.", retryable=True),
    ProblemKind(
        "CM-532", "The server has run out of disk space or memory", 503, 3,
        when="SQLSTATE 53100, 53200; after a migration the database is at the revision before",
        next_step="Make room on the server; what was under way goes on by itself.", retryable=True),
    ProblemKind(
        "CM-541", "A connection pooler stands in front", None, 3,
        when="the lock would protect nothing",
        next_step="Give migrations a direct connection to PostgreSQL."),
    ProblemKind(
        "CM-551", "The database is newer than this image", None, 4,
        when="it is at a revision these files do not know",
        next_step="Deploy an image that knows that revision."),
    ProblemKind(
        "CM-552", "The database is not what this history made", None, 4,
        when="tables that this history can have made, without a revision; another history; a version table that is not "
        "Alembic's or says one thing twice; the version moved without a journal row, or is not where it was left. "
        "`migration-sidecar adopt` proves which revision tables are at; `--beside-other-tables` says that they are "
        "other people's",
        next_step="Find out who changed it; then correct the version row, or adopt the database."),
    ProblemKind(
        "CM-553", "The database has a revision already", None, 1,
        when="`adopt` is for a database without one; another session may have stamped it meanwhile",
        next_step="Look at the status: somebody else adopted or migrated it."),
    ProblemKind(
        "CM-554", "The adoption was not completed", None, 1,
        when="it did not end, or the database changed while it was compared: nothing was stamped, or the status tells "
        "what was",
        next_step="Look at the status: it tells whether the revision was stamped. If not, adopt it again.",
        retryable=True),
    ProblemKind(
        "CM-555", "The revision cannot be built beside the database", None, 1,
        when="it failed in the scratch database or schema, and the real one was not touched; the message says at what",
        next_step="Let the role create databases for this: ALTER ROLE … CREATEDB."),
    ProblemKind(
        "CM-556", "Several version tables cannot be adopted at once", None, 1,
        when="`env.py` keeps more than one in this database; each needs a proof of its own",
        next_step="Let it configure one of them, chosen with -x for example, and adopt one after the other."),
)
