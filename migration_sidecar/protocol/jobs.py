"""The jobs that the service sends to its forkserver, which forks one worker process for each.

A job crosses a socket as one JSON object. It may hold a database password, so it is never logged.
"""

from __future__ import annotations

from typing import Literal, TypedDict, Union, final


class FlaskApplication(TypedDict):
    """How to find the Flask application whose Flask-Migrate keeps the environment."""

    app: str | None  # as in flask --app; None: as Flask finds it
    directory: str | None  # the folder of the environment; None: the application names it


class JobEnvironment(TypedDict):
    """The keys that every job has: which Alembic environment it is about, and the limits of its process."""

    config_file: str  # absolute path of alembic.ini or pyproject.toml
    given_config: str | None  # the same as it was given, mostly relative to `directory`; None if it was not
    section: str  # alembic's --name
    x: list[str]  # alembic's -x arguments, KEY=VALUE
    url: str | None  # replaces every database URL of env.py; with password
    directory: str  # where the command or the service was started; the worker's working directory
    memory_bytes: int
    journal_table: str | None  # None for the default place
    flask: FlaskApplication | None  # instead of `config_file`


class ExcludedObjects(TypedDict):
    """The JSON form of `LeftOut`."""

    schemas: list[str]
    relations: list[tuple[str, str]]  # schema and name


class StampProof(TypedDict):
    """What an adoption compared; the worker compares it again under the lock before it stamps."""

    revisions: list[str]
    digest: str
    left_out: ExcludedObjects


class SchemaBuildOrders(TypedDict):
    """Where in the real database a revision is built, without a commit, so that it can be compared."""

    schema: str  # the new schema
    instead_of: str  # the schema whose objects are compared
    left_out: ExcludedObjects
    search_path: list[str]  # schemas of extensions, quoted
    guards: dict[str, str]


class ProbeJob(JobEnvironment):
    """Runs env.py as `alembic` does for this action, and reports what it configures. The result is a history."""

    kind: Literal["look"]
    action: str
    target: str
    is_exact: bool  # no other action or target will be asked for
    seconds: float


class InspectJob(JobEnvironment):
    """Loads the revision files. The result is a history."""

    kind: Literal["inspect"]
    seconds: float
    folders: list[str]  # version_locations that env.py set; empty for those of the configuration


# A revision as it stands in its history: id, what it follows, what it depends on, its branch labels.
RevisionLine = tuple[str, list[str], list[str], list[str]]


class ResolveJob(JobEnvironment):
    """Turns what a person wrote as a target into an absolute one. The result is a `ResolvedTarget`.

    A list of `RevisionLine`, in Alembic's order, follows as one line of JSON: it may be longer than a job.
    """

    kind: Literal["resolve"]
    action: str
    target: str
    revisions: list[str]  # rows of the version table


class RenderJob(JobEnvironment):
    """Renders revisions as SQL without a database. The result is `RenderedSql` by revision id."""

    kind: Literal["render"]
    revisions: list[str]
    action: str
    folders: list[str]


@final
class MigrateJob(JobEnvironment):
    """Upgrades or downgrades. The process loads and connects, then waits for its orders."""

    kind: Literal["migrate"]
    action: str
    target: str


@final
class StampJob(JobEnvironment):
    """Stamps a database that was compared with a revision. It waits for orders too."""

    kind: Literal["migrate"]
    action: Literal["stamp"]
    target: str
    proof: StampProof


@final
class SchemaBuildJob(JobEnvironment):
    """Builds a revision in a schema of its own and reports the objects. The result is a `BuiltSchema`."""

    kind: Literal["migrate"]
    action: Literal["upgrade"]
    target: str
    rehearsal: SchemaBuildOrders


AskedJob = Union[ProbeJob, InspectJob, ResolveJob, RenderJob]  # noqa: UP007 - evaluated by Python 3.9
OrderedJob = Union[MigrateJob, StampJob]  # noqa: UP007
Job = Union[AskedJob, OrderedJob, SchemaBuildJob]  # noqa: UP007
