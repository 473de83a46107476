"""Decides whether what a preview of env.py met is met by the upgrade too. Kinds and codes decide, never a text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from migration_sidecar.worker.dbapi import sqlstate_of
from migration_sidecar.worker.no_commit import DiscardedCommits
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.held_locks import LOCK_NOT_AVAILABLE, HeldLocks

# What others did at that moment: no lock within the short time of a preview (the upgrade waits), a deadlock.
_OF_THE_MOMENT = {LOCK_NOT_AVAILABLE, "40P01"}
_ONLY_OUTSIDE_A_TRANSACTION = "25001"  # in a preview AUTOCOMMIT is none
# These are mistakes in the code, whatever the database holds.
_MISTAKES = (ImportError, SyntaxError, NameError)


class WaitedTooLong(BaseException):
    """env.py was connected and waited for something. No subclass of Exception, because env.py may try again."""


class PreviewErrors:
    """The SQLSTATEs that statements of env.py met, also those that env.py caught."""

    def __init__(self, held: HeldLocks) -> None:
        self._held = held
        self._states: set[str] = set()
        event.listen(Engine, "handle_error", self._note)

    def _note(self, context: Any) -> None:
        self._add(context.original_exception)

    def _add(self, error: BaseException) -> None:
        if state := sqlstate_of(error):
            self._states.add(state)

    @property
    def of_the_moment(self) -> bool:
        """Whether env.py met a lock that somebody holds, which the upgrade waits for."""
        return self._held.were_met or bool(self._states & _OF_THE_MOMENT)

    def are_only_here(
        self, error: BaseException, discarded: DiscardedCommits, *, unmigrated: bool, other_arguments: bool
    ) -> bool:
        """Whether the upgrade need not meet this error.

        `unmigrated`: env.py may rely on revisions that did not run. `other_arguments`: it asked for its arguments, and
        the upgrade may have others.
        """
        if isinstance(error, _MISTAKES):
            return False
        self._add(error)  # it may come from the driver itself
        if other_arguments and not isinstance(error, MigrationRefused):
            return True
        if isinstance(error, WaitedTooLong) or self.of_the_moment or unmigrated:
            return True
        return (discarded.had_autocommit and _ONLY_OUTSIDE_A_TRANSACTION in self._states) or discarded.needed
