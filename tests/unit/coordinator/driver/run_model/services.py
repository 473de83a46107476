"""Services that keep the contract: they refuse what was not agreed to, and stop only at whole revisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from coordinator.ports import ServiceAddress
from coordinator.unavailable import ServiceRefused
from migration_sidecar.contract.messages import (
    Action,
    AppliedRevision,
    MigrationPlan,
    Operation,
    OperationRequest,
    OperationState,
    Problem,
)
from tests.unit.coordinator.fakes import START, FakeFleet, FakeService

BROKEN = Problem(code="CM-401", title="t", detail="It broke.", next_step="n")
NOBODY = "somebody else"


class Applied(NamedTuple):
    """One revision that went up or down, and by which operation."""

    operation_id: str
    action: Action
    revision: str


@dataclass
class ContractService(FakeService):
    """Applies one revision after the other; `ordered` is told of each new operation before it is accepted."""

    ledger: list[Applied] = field(default_factory=list)
    questions: int = 1  # how often an operation is asked for before it has done its next revision
    ordered: Callable[[ContractService, OperationRequest], None] = lambda _service, _order: None
    _asked: dict[str, int] = field(default_factory=dict)

    def plan(self, target: str, *, action: Action = Action.UPGRADE, beside_other_tables: bool = False) -> MigrationPlan:
        if action is Action.DOWNGRADE and target not in self.applied:
            raise self._refusal(422, "CM-203", f"{target} is not behind where the database is.")
        plan = super().plan(target, action=action, beside_other_tables=beside_other_tables)
        return plan.model_copy(update={"digest": sha256(f"{plan.digest}{self.file_version}".encode()).hexdigest()})

    def begin(self, order: OperationRequest) -> Operation:
        known = self.operations.get(order.operation_id)
        if known is not None:
            if (known.action, known.target) != (order.action, order.target):
                raise self._refusal(409, "CM-601", "The id was used for another order.")
            return known
        plan = self.plan(order.target, action=order.action)
        if (plan.from_revisions, plan.digest) != (order.expected_revisions, order.plan_digest):
            raise self._refusal(409, "CM-306", "That is not the plan any more.")
        if plan.obstacles:
            raise self._refusal(422, plan.obstacles[0].code, plan.obstacles[0].detail)
        self.ordered(self, order)
        return super().begin(order)

    def poll(self, operation_id: str) -> Operation:
        operation = self._known(operation_id)
        if operation.state.ended:
            return operation
        self._asked[operation_id] = self._asked.get(operation_id, 0) + 1
        while not operation.state.ended and (self.questions <= 1 or self._asked[operation_id] % self.questions == 0):
            operation = self._went_on(operation)
            if self.questions > 1:
                break
        self.operations[operation_id] = operation
        return operation

    def cancel(self, operation_id: str) -> Operation:
        operation = self._known(operation_id)
        if not operation.state.ended:
            self.operations[operation_id] = self._ended(operation, OperationState.CANCELLED)
        return self.operations[operation_id]

    def go_on_without_us(self) -> None:
        """Somebody else applies the next revision."""
        if len(self.applied) < len(self.history):
            self._change(NOBODY, self.history[len(self.applied)], Action.UPGRADE)

    def changed_by(self, operations: str) -> list[int]:
        """The places in the ledger of what the operations whose ids begin like this did."""
        return [place for place, each in enumerate(self.ledger) if each.operation_id.startswith(operations)]

    def _went_on(self, operation: Operation) -> Operation:
        if self.fails_with and len(operation.applied) >= self.fails_after:
            return self._ended(operation, OperationState.FAILED)
        todo = self.plan(operation.target, action=operation.action).revisions
        if not todo:
            return self._ended(operation, OperationState.SUCCEEDED)
        self._change(operation.operation_id, todo[0].id, operation.action)
        done = AppliedRevision(revision=todo[0].id, action=operation.action, at=START, duration_ms=1)
        return operation.model_copy(
            update={"applied": [*operation.applied, done], "current_revisions": self.current, "attempts": 1}
        )

    def _ended(self, operation: Operation, state: OperationState = OperationState.SUCCEEDED) -> Operation:
        facts: dict[str, Any] = {
            "state": state,
            "current_revisions": self.current,
            "finished_at": START + timedelta(seconds=1),
            "error": self.fails_with if state is OperationState.FAILED else None,
        }
        return operation.model_copy(update=facts)

    def _change(self, operation_id: str, revision: str, action: Action) -> None:
        self._apply(revision, action)
        self.ledger.append(Applied(operation_id, action, revision))

    def _known(self, operation_id: str) -> Operation:
        if operation_id not in self.operations:
            raise self._refusal(404, "CM-604", "There is no such operation.")
        return self.operations[operation_id]

    def _refusal(self, status: int, code: str, detail: str) -> ServiceRefused:
        problem = Problem(code=code, title="t", detail=detail, next_step="n")
        return ServiceRefused(self.address.service, status, problem)


class ContractFleet(FakeFleet):
    """A question about an operation that has not ended is answered after a while."""

    async def operation(self, address: ServiceAddress, operation_id: str, *, wait_seconds: int) -> Operation:
        answer = await super().operation(address, operation_id, wait_seconds=wait_seconds)
        if not answer.state.ended:
            await asyncio.sleep(1)
        return answer


def _break(service: ContractService, after: int) -> None:
    service.fails_with, service.fails_after = BROKEN, after


def _mend(service: ContractService) -> None:
    service.fails_with, service.down, service.questions = None, False, 1


def _become(service: ContractService, **facts: Any) -> None:
    for name, fact in facts.items():
        setattr(service, name, fact)


CHANGES: Mapping[str, Callable[[ContractService], None]] = {
    "breaks at once": partial(_break, after=0),
    "breaks after one": partial(_break, after=1),
    "is mended": _mend,
    "is whole": _mend,
    "is down": partial(_become, down=True),
    "is slow": partial(_become, questions=8),
    "has other files": lambda service: _become(service, file_version=f"{service.file_version}x"),
    "has one more": lambda service: service.history.append(f"r{len(service.history) + 1}"),
    "is migrated by somebody else": ContractService.go_on_without_us,
    "loses data on the way back": lambda service: _become(service, destructive=frozenset({service.history[-1]})),
}
