"""What made a migration fail, also where env.py caught the error or raised another one instead."""

from __future__ import annotations

from dataclasses import dataclass

from migration_sidecar.protocol.reports import ProblemFacts
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.refusal import MigrationRefused


@dataclass(frozen=True)
class RunFailure:
    """An error and where it happened. `undone` are revisions that ran before it in the same transaction."""

    error: BaseException
    revision: str | None = None  # None: env.py itself failed
    at_commit: bool = False
    undone: tuple[str, ...] = ()
    after_revisions: bool = False  # env.py had run its revisions
    connection_lost: bool = False  # the driver says so; another error may say it itself

    def facts(self) -> ProblemFacts:
        """The facts of its problem."""
        if isinstance(self.error, MigrationRefused):
            return {**self.error.facts, "revision": self.error.facts["revision"] or self.revision}
        facts = describe_failure(self.error, self.revision)
        facts["connection_lost"] = self.connection_lost or facts.get("connection_lost", False)
        cause = facts.get("cause")
        return {**facts, "detail": self._detail(cause)} if cause else facts

    def _detail(self, cause: str) -> str:
        names = ", ".join(self.undone)
        if self.at_commit:
            return f"The COMMIT of revision {self.revision} {cause}; it was undone{self._with_others()}."
        if self.revision:
            return f"Revision {self.revision} {cause}; it was undone{self._with_others()}."
        if self.undone:
            return f"env.py {cause} after its revisions, in their transaction; {names} was undone with it."
        if self.after_revisions:
            return f"env.py {cause} after its revisions, which stay applied."
        return f"env.py {cause} before any revision."

    def _with_others(self) -> str:
        return f", and with it {', '.join(self.undone)} of the same transaction" if self.undone else ""
