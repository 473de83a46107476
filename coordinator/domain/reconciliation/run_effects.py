"""Run records against journals, in both directions.

A revision that a run says it applied must be in the journal of its operation, and what a journal tells of an operation
that succeeded must be in the record of its run. What a journal tells of other operations nobody else knows of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.domain.reconciliation.declarations import Declarations
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.run import Run
from coordinator.domain.step import Step, StepState
from migration_sidecar.contract.journal import JournalEntry
from migration_sidecar.contract.messages import Action, AppliedRevision

JOURNAL_KIND = {Action.UPGRADE: "applied", Action.DOWNGRADE: "reverted"}


class Effect(NamedTuple):
    """That a revision took effect, as a journal row and a step of a run both tell it."""

    operation_id: str
    kind: str
    revision: str


Effects = Mapping[str, Set[Effect]]  # by service, of the journals that were read


def effect_of(entry: JournalEntry) -> Effect | None:
    """The effect that a journal row tells of, or None where it tells of something else."""
    if entry.kind not in JOURNAL_KIND.values() or entry.revision is None:
        return None
    return Effect(entry.operation_id, entry.kind, entry.revision)


@dataclass
class RunEffects:
    """What the steps of all run records say they did. It keeps the steps that did something, and nothing else."""

    declared: Declarations = field(default_factory=Declarations)
    _steps: dict[str, list[Step]] = field(default_factory=dict)
    # Every operation that a run began, by its id alone, because services may share a journal; of those that succeeded
    # the run, and all that its record tells.
    _begun: set[str] = field(default_factory=set)
    _succeeded: dict[str, tuple[str, set[Effect]]] = field(default_factory=dict)
    _looked_for: set[tuple[str, str]] = field(default_factory=set)

    def add_run(self, run: Run) -> None:
        """Takes a record as it is now. A step that runs is left out: its journal may have been read before."""
        for step in run.steps:
            self._begun.update(step.operation_ids(run.request_id))
            # Of an operation that went otherwise the coordinator may not have heard everything.
            if step.operation_id is not None and step.state.at_target:
                told = {_effect(step.operation_id, one) for one in step.applied}
                self._succeeded[step.operation_id] = run.request_id, told
        steps = [step for step in run.steps if step.state.ended and (step.applied or _must_have_applied(step))]
        if steps:
            self._steps[run.request_id] = steps

    def to_look_for(self, journals: Effects) -> set[str]:
        """Services whose journals must be read once more: a step may have ended after they were read."""
        unconfirmed = {(request_id, service) for request_id, service, _, _ in self._unconfirmed(journals)}
        new = unconfirmed - self._looked_for
        self._looked_for |= new
        return {service for _, service in new}

    def gaps(self, journals: Effects) -> Iterator[Discrepancy]:
        """What no journal confirms; call it once everything is read. Journals that were not read prove nothing."""
        yield from self._unknown_to_runs(journals)
        for request_id, service, step, missing in self._unconfirmed(journals):
            yield Discrepancy(
                kind=Kind.NOT_IN_ANY_JOURNAL,
                sentence=f"Run {request_id}: its record says that {step.service} {_why(step, missing)}",
                service=service,
                request_id=request_id,
            )

    def known_by_journal_alone(self, operations: Mapping[str, Counter[str]]) -> dict[str, int]:
        """By service, how many of its journal rows belong to operations that no run began; `operations` counts rows."""
        alone = {
            service: sum(rows for operation_id, rows in counted.items() if operation_id not in self._begun)
            for service, counted in operations.items()
        }
        return {service: rows for service, rows in alone.items() if rows}

    def _unknown_to_runs(self, journals: Effects) -> Iterator[Discrepancy]:
        for service, effects in journals.items():
            for effect in sorted(effects):
                request_id, told = self._succeeded.get(effect.operation_id, ("", {effect}))
                if effect not in told:
                    yield Discrepancy(
                        kind=Kind.NOT_IN_RUN_RECORD,
                        sentence=f"{service}: its journal says that operation {effect.operation_id} of run {request_id}"
                        f" had {effect.revision} {effect.kind}, and the run's record, which has all that this operation"
                        " did, does not know of it: the journal row was forged, or the record was changed.",
                        service=service,
                        request_id=request_id,
                    )

    def _unconfirmed(self, journals: Effects) -> Iterator[tuple[str, str, Step, list[str]]]:
        for request_id, steps in self._steps.items():
            for step in steps:
                service = self.declared.today(step.service)
                if service not in journals:
                    continue
                operation_ids = step.operation_ids(request_id)
                missing = [
                    one.revision
                    for one in [*step.applied, *(step.undo.reverted if step.undo else [])]
                    if not any(_effect(operation_id, one) in journals[service] for operation_id in operation_ids)
                ]
                if missing or not step.applied:
                    yield request_id, service, step, missing


def _effect(operation_id: str, one: AppliedRevision) -> Effect:
    return Effect(operation_id, JOURNAL_KIND.get(one.action, ""), one.revision)


def _why(step: Step, missing: list[str]) -> str:
    if not missing:
        return "succeeded, and names no revision that was applied: the record was forged."
    return (
        f"applied {', '.join(missing)}, and its journal has no such row of operation {step.operation_id}: the record"
        " was forged, or journal rows were removed."
    )


def _must_have_applied(step: Step) -> bool:
    return step.state is StepState.SUCCEEDED  # one that found nothing to do is called unchanged
