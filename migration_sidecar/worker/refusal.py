"""The one error the migration process raises itself, as plain facts that cross the process boundary as JSON."""

from __future__ import annotations

from migration_sidecar.protocol.reports import ProblemFacts


class Refusal(Exception):
    """A rule of ours stopped the migration; the database is at a whole revision."""

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
