"""Configuration (CM-7xx), other programs of a fleet (CM-8xx), and our own mistakes (CM-9xx)."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

# fmt: off
CONFIGURATION = (
    ProblemKind(
        "CM-701", "The configuration cannot be used", 422, 2,
        when="`fleet.toml` (a name that two services have, had or had until one left, too), `alembic.ini`, "
        "`pyproject.toml`, an unknown or malformed setting of ours, `DATABASE_URL`, `MIGRATE_ON_STARTUP`, "
        "`POSTGRES_PORT`, `MIGRATION_FAILPOINTS` outside a test, an option of the command line, or `env.py`: it asks "
        "for an `-x` nobody gave, for a module the interpreter lacks or for a connection that only a program of its "
        "own hands over, works only with a connection that a program hands it, migrates several databases, or none of "
        "PostgreSQL; or a Flask application: it is not found, or has no Flask-Migrate; the message names the key, "
        "never the value",
        next_step="Correct it and start again."),
    ProblemKind(
        "CM-702", "env.py migrates another database", 409, 2,
        when="than `--database-url` names, because its connection is opened by a `creator` or connector that takes no "
        "URL; or it turned to another one after the operation was accepted; found before anything was touched",
        next_step="Let env.py's connection follow the URL of its engine, or name the database that it leads to."),
    ProblemKind(
        "CM-703", "The address of env.py's connection cannot be told", 409, 2,
        when="a `creator`, a connector or a tunnel opens it, and the driver shows no address, or one that leads to "
        "another database or does not let our own sessions in; or a look at `env.py` ended before it connected to any, "
        "for a reason that the upgrade need not meet. `DATABASE_URL` and PostgreSQL's defaults are not tried instead; "
        "nothing was touched",
        next_step="Name the same database with --database-url: both are compared before anything is done."),
)
OTHERS = (
    ProblemKind(
        "CM-801", "A service gave an answer that cannot be true", 502, 3,
        when="about another service, database or operation, against its own plan, compressed, or larger than is read "
        "(4 MiB; 32 MiB for a journal page or a plan with SQL); a step that hears nothing else for two minutes of "
        "asking ends `needs_attention`",
        next_step="Check that this Dapr app id belongs to the right service, and that it carries the migration "
        "sidecar.", retryable=True),
    ProblemKind(
        "CM-802", "A service cannot be reached", 503, 3,
        when="a run asks it again",
        next_step="Start the service with its Dapr sidecar, and look into its log if it does not come up.",
        retryable=True),
    ProblemKind(
        "CM-803", "A service did not say in time what became of its migration", 504, 3,
        when="it was asked for the operation's deadline and ten minutes in one process; time in which nobody asked "
        "does not count",
        next_step="Bring the service back and read its status (coordinator fleet) before you ask for anything again."),
    ProblemKind(
        "CM-811", "The coordinator's own Dapr sidecar does not answer", 503, 3,
        when="nobody listens at `DAPR_HTTP_PORT`",
        next_step="Start the coordinator with dapr run, and wait until its sidecar is up.", retryable=True),
    ProblemKind(
        "CM-812", "The state store cannot be used", 503, 3,
        when="Dapr's state API answers with an error, or Redis is away",
        next_step="Bring the state store back (scripts/infra status) and repeat the request; a repeat is harmless.",
        retryable=True),
    ProblemKind(
        "CM-813", "The workflow engine cannot be used", 503, 3,
        when="placement or scheduler is away, or accepted runs do not start "
        "([when a run does not move](operating-guide.md#when-a-run-does-not-move))",
        next_step="Check that placement and scheduler run (scripts/infra status); the run starts by itself afterwards.",
        retryable=True),
    ProblemKind(
        "CM-814", "The run record would be too large", 507, 3,
        when="it would take more than 3.5 MB: thousands of revisions in one run, or a service that answers with far "
        "too much; the run ends with this",
        next_step="Ask for fewer services or revisions at once; if one answered with far too much, look at that "
        "service."),
    ProblemKind(
        "CM-815", "A run record cannot be read", 500, 3,
        when="the document `run-<request_id>` is garbage, another version wrote it, or it does not bear the "
        "coordinator's signature; it is never written over "
        "([a damaged document](operating-guide.md#a-document-in-the-state-store-is-damaged))",
        next_step="Read what happened in the audit (coordinator audit show ID), and let somebody look at this document "
        "in the state store; every other run goes on."),
    ProblemKind(
        "CM-821", "The audit cannot be written", 503, 3,
        when="cas-audit or its database is away",
        next_step="Bring the audit service and its database back; waiting runs go on by themselves.", retryable=True),
    ProblemKind(
        "CM-822", "The audit's own database is not migrated yet", 503, 3,
        when="cas-audit answers with CM-522",
        next_step="Migrate the audit service (coordinator request with it, or with all); waiting runs then go on.",
        retryable=True),
    ProblemKind(
        "CM-831", "Events cannot be published", 503, 3,
        when="Redis is away",
        next_step="Bring the broker back (scripts/infra status); events that are owed are published then.",
        retryable=True),
    ProblemKind(
        "CM-841", "The coordinator cannot be reached", None, 3,
        when="said by the `coordinator` command; `DAPR_HTTP_PORT` or `COORDINATOR_URL` says where it is",
        next_step="Start the fleet, or end it and start it again where its process is gone.", retryable=True),
)
OURS = (
    ProblemKind(
        "CM-901", "Something unexpected happened", 500, 3,
        when="an operation that broke off five times ends `needs_attention` with it",
        next_step="Look for this time in the log of that process and try again; please report it."),
    ProblemKind(
        "CM-902", "A state was left in a way that is not allowed", 500, 3,
        when="a mistake of ours",
        next_step="Look for this time in the log of that process and try again; please report it."),
)
