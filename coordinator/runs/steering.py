"""Takes the commands of operators: the record is changed first, and the workflow is only woken."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from coordinator.domain.catalog import Catalog
from coordinator.domain.changes.verbs import apply
from coordinator.domain.commands.command import Command, CommandBody, Verb
from coordinator.domain.permissions import Permissions, Requester
from coordinator.domain.run import Run
from coordinator.errors import CoordinatorError, NoSuchRun
from coordinator.ports import Clock
from coordinator.runs.acceptance import Acceptance
from coordinator.runs.repository import RunRepository

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Steering:
    """Used by the HTTP route and by the subscription of commands."""

    runs: RunRepository
    acceptance: Acceptance
    permissions: Permissions
    catalog: Catalog
    clock: Clock

    async def command(self, request_id: str, body: CommandBody, requester: Requester, command_id: str) -> Run:
        """The run after the command; a repeat with the same `command_id` changes nothing.

        Raises NoSuchRun, NotPermitted (CM-109), NotPossibleNow (CM-606), ApprovalDoesNotHold (CM-607), StateUnavailable
        and StateContended.
        """
        run = await self.runs.read(request_id)
        self.permissions.require(requester, body.verb.permission, _services(run))
        if run is None:
            raise NoSuchRun(request_id)
        command = Command(
            verb=body.verb,
            command_id=body.command_id or command_id,
            reason=body.reason,
            requested_by=body.requested_by,
            caller=requester.name,
            actor_basis=requester.actor(body.requested_by).basis,
            actor_kind=requester.kind,
            at=self.clock(),
            plan_digest=body.plan_digest,
            now=body.now,
        )
        return await self._changed(run, command)

    async def _changed(self, run: Run, command: Command) -> Run:
        lasts = self.catalog.approvals.lasts
        run = await self.runs.update(run.request_id, lambda run: apply(run, command, self.clock(), lasts))
        log.info("command_taken", extra={"request_id": run.request_id, "verb": command.verb.value})
        if command.verb is Verb.RETRY:
            # A death before this is mended by a repeat of the command, or by whoever reads the run next.
            await self.runs.index_add(run, last=True)
            await self.acceptance.start(run)
        else:
            with suppress(CoordinatorError):  # a wake that is lost costs at most one wait of the workflow
                await self.acceptance.scheduler.wake(run.instance_id)
        return run


def _services(run: Run | None) -> list[str] | str:
    """Those whose databases the run changes; what the request names, while it has no plan."""
    if run is None:
        return []
    return [step.service for step in run.steps] or run.request.services
