"""The problems of an env.py that did not get to context.configure."""

from __future__ import annotations

from migration_sidecar.contract.messages import Problem
from migration_sidecar.forkserver.answer import OUT_OF_MEMORY, Answer


def incomplete_probe(answer: Answer) -> Problem:
    """The problem of a probe that reported neither a failure nor a connection."""
    if answer["event"] == "done":
        return _without_configure("env.py configures no connection.")
    if answer.get("over_memory"):
        detail = "env.py used more memory than memory_limit_mb allows, and was ended."
        return Problem.of("CM-407", detail, next_step=OUT_OF_MEMORY)
    if "after_seconds" in answer:
        return never_configured(answer["after_seconds"])
    return _without_configure("env.py ended its process before it got to context.configure.")


def never_configured(seconds: float) -> Problem:
    """The problem of an env.py that did not call context.configure in time; for adoptions too."""
    return _without_configure(f"env.py did not get to context.configure within {seconds:.0f} s.")


def _without_configure(detail: str) -> Problem:
    return Problem.of("CM-407", detail, next_step="Try `alembic current` with the same options; it does the same.")
