"""Waiting for a database that is away for a moment, instead of guessing what became of it."""

from __future__ import annotations

from datetime import timedelta
from random import uniform

import stamina

from migration_sidecar.contract.errors import DatabaseUnreachable

LONGEST = timedelta(minutes=10)  # then a person is told; a failover takes seconds, a restart minutes


def _passes(error: Exception) -> bool | float:
    if not isinstance(error, DatabaseUnreachable) or not error.problem.retryable:
        return False
    # A server without a free connection is not asked more than once in a second.
    return uniform(1, 3) if error.problem.code == "CM-531" else True


# For steps that may be repeated: they read, or write under a key.
patient = stamina.retry(
    on=_passes,
    attempts=None,
    timeout=LONGEST,
    wait_initial=timedelta(milliseconds=200),
    wait_max=timedelta(seconds=5),
)
