"""What a worker process writes to the service: one JSON object per line, told apart by `event`.

The first is `process`. A worker that ends by itself writes `done` or `failed`. The forkserver writes `exited`, last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict, Union

from migration_sidecar.protocol.results import ConfiguredDatabase, Result


class _ProblemFacts(TypedDict):
    code: str
    detail: str


class ProblemFacts(_ProblemFacts, total=False):
    """Why a job failed. The service makes its `Problem` of it; the last three keys are for the service alone."""

    next_step: str | None
    revision: str | None
    sqlstate: str | None
    server_message: str | None
    cause: str  # how the revision ended, in our own words
    connection_lost: bool
    unconnected: bool  # the driver opened no session and gave no SQLSTATE


class Process(TypedDict):
    """The first line: the process is there."""

    event: Literal["process"]
    pid: int


class Session(TypedDict):
    """The server process that migrates. Before this report the worker itself has written nothing."""

    event: Literal["session"]
    pid: int


class Waiting(TypedDict):
    """Why a migration does not go on; None when it does again."""

    event: Literal["waiting"]
    sentence: str | None


class Locked(TypedDict):
    """The session holds the migration lock."""

    event: Literal["locked"]


class VersionTableFound(TypedDict):
    """Where Alembic keeps the revisions, by its own connection when the migrations run."""

    event: Literal["migrating"]
    version_table: str
    version_table_schema: str  # empty with the usual search_path


class RevisionBegun(TypedDict):
    """A revision is next; failures from here on are its own."""

    event: Literal["revision"]
    revision: str


class RevisionExecuted(TypedDict):
    """The revision ran and its journal row is written; its transaction is not committed yet."""

    event: Literal["executed"]
    revision: str


class RevisionApplied(TypedDict):
    """The change is committed."""

    event: Literal["applied"]
    revision: str
    kind: str  # applied | reverted | stamped
    duration_ms: int


class EnvFileFound(TypedDict):
    """The files on which the answer of a probe depends, before env.py runs."""

    event: Literal["looking"]
    files: list[str]
    only_connects: bool  # reading env.py shows that it does nothing else


class Connecting(TypedDict):
    """env.py opens a connection; `tried_at` is a monotonic clock's, in seconds."""

    event: Literal["connecting"]
    tried: str  # URL with password
    tried_at: float


class Connected(TypedDict):
    """The connection is open, so there is no URL left that was tried in vain."""

    event: Literal["connected"]
    tried: None


class EnvFileRun(TypedDict):
    """env.py ended, well or not; `ended_at` is of the same clock as `tried_at`."""

    event: Literal["looked"]
    files: list[str]
    places: list[ConfiguredDatabase]
    own_tables: list[tuple[str, str]]  # schema and name of each table that env.py makes by itself
    ended_at: float
    reached: list[str]  # the URLs, with password, to which a connection was opened


class EnvFileUnseen(TypedDict):
    """env.py met something that the upgrade need not meet, so it is not known what it does then."""

    event: Literal["unseen"]
    unseen: ProblemFacts
    written_table: tuple[str, str]  # name and schema of the version table in the text of env.py, or empty


class EnvFileUnderstood(TypedDict):
    """env.py configured a connection. A failure after this is about the revision files."""

    event: Literal["heard"]
    heard: Literal[True]


class RevisionFolders(TypedDict):
    """The folders of the revision files, before any of them is loaded."""

    event: Literal["folders"]
    folders: list[str]


class RevisionFileLoading(TypedDict):
    """The file that is loaded next."""

    event: Literal["loading"]
    file: str


class TimedOut(TypedDict):
    """The job's own time limit has passed; a `failed` follows unless the code cannot be interrupted."""

    event: Literal["hangs"]
    after_seconds: float


class BuiltObjects(TypedDict):
    """Some of the objects of a built schema, each as kind, name and definition."""

    event: Literal["facts"]
    facts: list[tuple[str, str, str]]


class Done(TypedDict):
    """The job is done. Of a migration this says that env.py ended well, not what the database holds."""

    event: Literal["done"]
    result: Result


class Failed(TypedDict):
    """The job failed."""

    event: Literal["failed"]
    problem: ProblemFacts


class _Exited(TypedDict):
    event: Literal["exited"]
    code: int | None
    signal: int | None


class Exited(_Exited, total=False):
    """The process is gone: its exit code, or the number of the signal that ended it."""

    over_memory: bool  # it used more than memory_limit_mb and did not stop, so it was ended


Report = Union[  # noqa: UP007 - evaluated by Python 3.9
    Process,
    Session,
    Waiting,
    Locked,
    VersionTableFound,
    RevisionBegun,
    RevisionExecuted,
    RevisionApplied,
    EnvFileFound,
    Connecting,
    Connected,
    EnvFileRun,
    EnvFileUnseen,
    EnvFileUnderstood,
    RevisionFolders,
    RevisionFileLoading,
    TimedOut,
    BuiltObjects,
    Done,
    Failed,
    Exited,
]
SendReport = Callable[[Report], None]
