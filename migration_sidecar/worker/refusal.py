"""The error that the worker raises when a rule of ours stops a job."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.protocol.reports import ProblemFacts


class MigrationRefused(Exception):
    """A rule of ours stopped the migration; the database is at a whole revision.

    `facts` are fields of a Problem; the parent adds what the catalogue says of the code. Without a parent, as under
    Alembic's own command line, the text of this error has all of it.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        next_step: str | None = None,
        *,
        revision: str | None = None,
        server_message: str | None = None,
    ) -> None:
        self.facts: ProblemFacts = {
            "code": code,
            "detail": detail,
            "next_step": next_step,
            "revision": revision,
            "server_message": server_message,
        }
        super().__init__(sentence(self.facts))


def sentence(facts: ProblemFacts) -> str:
    """All that a person has to read of a problem, in one line."""
    kind = PROBLEM_KINDS[facts["code"]]
    said = f" It said: {facts['server_message']}." if facts.get("server_message") else ""
    return f"{kind.code} {kind.title}: {facts['detail']}{said} {facts.get('next_step') or kind.next_step}"
