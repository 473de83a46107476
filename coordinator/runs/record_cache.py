"""Keeps runs beside the documents that they were read from or written to, so that only what changed is done again.

A run of a thousand services would otherwise be parsed and written out as a whole for each of its steps.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.ports import Provenance, VersionedDocument

REMEMBERED_RUNS = 100
OURS = (Provenance.SIGNED, Provenance.UNCHECKED)


class WrittenStep(NamedTuple):
    """A step, and what it is in a document. The same object is never written out twice."""

    step: Step
    value: dict[str, Any]


class RecordCache:
    """By key. It never answers for the store: a run is only found for the document that was read from there."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, tuple[Any, Run]] = OrderedDict()
        self._steps: OrderedDict[str, dict[str, WrittenStep]] = OrderedDict()

    def find(self, key: str, document: VersionedDocument) -> Run | None:
        """The run in this document, if it is known; None also where it is to be checked whose document it is."""
        value, run = self._runs.get(key, (None, None))
        return run if run is not None and document.provenance in OURS and document.value == value else None

    def remember(self, key: str, value: Any, run: Run) -> None:
        """That this is the run of a document with this value."""
        _put(self._runs, key, (value, run))

    def value_of(self, key: str, run: Run) -> dict[str, Any]:
        """The run as a document; steps that did not change are the same objects as the last time."""
        before = self._steps.get(key, {})
        written = {step.service: _written(step, before.get(step.service)) for step in run.steps}
        _put(self._steps, key, written)
        header = run.model_dump(mode="json", exclude={"steps"})
        return {**header, "steps": [each.value for each in written.values()]}


def _written(step: Step, before: WrittenStep | None) -> WrittenStep:
    return before if before is not None and before.step is step else WrittenStep(step, step.model_dump(mode="json"))


def _put(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_RUNS:
        memory.popitem(last=False)
