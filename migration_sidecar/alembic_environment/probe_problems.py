"""The problems of an env.py that did not get to context.configure, or that a probe could not see to its end."""

from __future__ import annotations

from migration_sidecar.alembic_environment.migration_target import NAME_IT
from migration_sidecar.contract.messages import Problem
from migration_sidecar.forkserver.answer import OUT_OF_MEMORY, Answer
from migration_sidecar.protocol.reports import ProblemFacts


def is_lost_session(met: ProblemFacts) -> bool:
    """Whether the probe lost its session, or got none: env.py may be right, and is asked again soon."""
    return bool(met.get("connection_lost") or met.get("unconnected"))


def unseen_by_probe(met: ProblemFacts) -> Problem:
    """The warning (CM-413) for what the probe met and the upgrade need not meet."""
    what = f"env.py {met['cause']}, which an upgrade" if "cause" in met else f"{met['detail']} An upgrade"
    end = "need not meet." if "cause" in met else "need not meet that."
    facts = {name: met.get(name) for name in ("sqlstate", "server_message")}
    return Problem.of("CM-413", f"{what} {end}", **facts)


def unconnected_probe(unseen: Problem) -> Problem:
    """The problem (CM-703) if env.py had connected to nothing by then: nobody knows in which database to begin."""
    facts = {"sqlstate": unseen.sqlstate, "server_message": unseen.server_message}
    detail = f"{unseen.detail} It had connected to no database by then; nothing was touched."
    return Problem.of("CM-703", detail, next_step=NAME_IT, **facts)


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
