"""The error that the worker raises when a rule of ours stops a job."""

from __future__ import annotations

from migration_sidecar.protocol.reports import ProblemFacts


class Refusal(Exception):
    """A rule of ours stopped the job; the database is at a whole revision. `facts` go into the `failed` report."""

    def __init__(
        self,
        code: str,
        title: str,
        detail: str,
        next_step: str,
        *,
        retryable: bool = False,
        revision: str | None = None,
    ) -> None:
        super().__init__(f"{code} {title}: {detail} {next_step}")
        self.facts: ProblemFacts = {
            "code": code,
            "title": title,
            "detail": detail,
            "next_step": next_step,
            "retryable": retryable,
            "revision": revision,
        }
