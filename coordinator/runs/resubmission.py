"""Makes a run of a dead letter: one, however often and under whatever name it is asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from coordinator.audit.dead_letters import DeadLetters
from coordinator.audit.event_spool import AuditSpool
from coordinator.domain.audit_events import resubmission_event
from coordinator.domain.dead_letters.letter import BecameRun, DeadLetter
from coordinator.domain.permissions import UNCHECKED, Permission, Requester
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.errors import CoordinatorError
from coordinator.runs.intake import RequestIntake

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resubmission:
    """Each of its effects can be repeated: whoever repeats the call completes what a crash left."""

    letters: DeadLetters
    intake: RequestIntake
    spool: AuditSpool

    async def resubmit(self, name: str, requester: Requester = UNCHECKED, request_id: str | None = None) -> Run:
        """The run of this letter, in the name of the requester; its publisher's rights count for nothing.

        Raises what `DeadLetters.find` and `RequestIntake.accept` raise, what is still wrong with the event, and
        LetterNotResubmittable (CM-605).
        """
        self.intake.permissions.require(requester, Permission.REQUEST)
        letter = await self.letters.find(name)
        if (run := await self._run_of(letter, request_id)) is not None:
            self.intake.permissions.require(requester, Permission.REQUEST, run.request.services)
            await self._record(letter)
            return run
        asked = letter.request(request_id)
        self.intake.permissions.require(requester, Permission.REQUEST, asked.services)
        becoming = BecameRun(
            request_id=asked.request_id, at=self.intake.clock(), by=requester.name, basis=requester.actor().basis
        )
        # First the letter and then the run: if they were written the other way round, a crash between them would let
        # the same letter become a second run under another id.
        letter = await self.letters.change(letter.id, lambda one: one.becoming(becoming))
        run = await self._accept(letter, asked, requester)
        await self._record(letter)
        return run

    async def _run_of(self, letter: DeadLetter, request_id: str | None) -> Run | None:
        """The run that it became, also where the rules of today would not make one of it any more.

        A run that was there before is none of it; whether it is the same request is found out by accepting.
        """
        became = letter.run
        if became is None or request_id not in (None, became.request_id):
            return None
        run = await self.intake.acceptance.runs.read(became.request_id)
        return run if run is not None and run.accepted_at >= became.at else None

    async def _record(self, letter: DeadLetter) -> None:
        """Told from what the letter says, so that a repeat of the call by somebody else tells the same."""
        if (run := letter.run) is not None:
            event = resubmission_event(letter.id, letter.reason, run.request_id, run.actor, run.at)
            await self.spool.record_once(event)

    async def _accept(self, letter: DeadLetter, asked: MigrationRequest, requester: Requester) -> Run:
        try:
            return await self.intake.accept(asked, requester)
        except CoordinatorError as error:
            if error.is_refusal:
                await self._release(letter, asked.request_id)
            raise

    async def _release(self, letter: DeadLetter, request_id: str) -> None:
        try:
            await self.letters.change(letter.id, lambda one: one.without_run(request_id))
        except CoordinatorError as error:
            # The same call, which is refused again, tries it again.
            log.warning("dead_letter_not_released", extra={"letter": str(letter.id), "why": error.detail})
