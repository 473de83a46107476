"""What one worker process answered to a job that asks something."""

from __future__ import annotations

from typing import Literal, Required, TypedDict

from migration_sidecar.protocol.reports import ProblemFacts
from migration_sidecar.protocol.results import ConfiguredDatabase, Result


class Answer(TypedDict, total=False):
    """All reports of a process in one; of two values of a key the later one counts.

    A key is missing where its report never came: a process may end, or be ended, at any moment.
    """

    event: Required[Literal["done", "failed", "gone"]]  # gone: it ended, or was ended, without either
    result: Result
    problem: ProblemFacts
    after_seconds: float  # the time limit that has passed
    code: int | None  # its exit code
    signal: int | None
    over_memory: bool  # it used more than memory_limit_mb and was ended
    folders: list[str]  # of the revision files
    file: str  # the revision file that was loaded last
    # Of a probe only:
    heard: bool
    files: list[str]
    only_connects: bool
    places: list[ConfiguredDatabase]
    reached: list[str]  # the URLs, with password, to which a connection was opened
    written_table: tuple[str, str]  # then: name and schema of the version table in the text of env.py, or empty
    unseen: ProblemFacts  # met in the probe, and not necessarily in an upgrade
    own_tables: list[tuple[str, str]]
    tried: str | None  # the URL, with password, to which no connection was opened
    tried_at: float  # seconds of a monotonic clock
    ended_at: float


def was_killed(answer: Answer) -> bool:
    """Whether somebody else killed the process or its forkserver; a process that ended itself has an exit code."""
    ended_by_us = "after_seconds" in answer or answer.get("over_memory", False)
    return answer["event"] == "gone" and answer.get("code") is None and not ended_by_us


OUT_OF_MEMORY = "Raise memory_limit_mb in [migration_sidecar], or let it use less memory."
