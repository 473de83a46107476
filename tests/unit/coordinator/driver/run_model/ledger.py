"""Counts the events that the changes of a record imply; in the end the audit has exactly these."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.unit.coordinator.driver.run_model import tables
from tests.unit.coordinator.driver.run_model.tables import steps_of

Record = dict[str, Any]
Told = Counter[tuple[str, str | None]]
ENDED = ("succeeded", "unchanged", "failed", "skipped", "cancelled", "needs_attention")


@dataclass
class EventLedger:
    """What the audit is to hold of each run."""

    expected: defaultdict[str, Told] = field(default_factory=lambda: defaultdict(Counter))

    def changed(self, old: Record | None, new: Record) -> None:
        told = self.expected[new["request_id"]]
        if old is None:
            told["migration.requested", None] += 1
            return
        known = [command["command_id"] for command in old.get("commands", [])]
        for command in new.get("commands", []):
            if command["command_id"] not in known:
                told[tables.EVENT_OF_VERB[command["verb"]], None] += 1
        if old["state"] != new["state"]:
            self._state(told, old, new)
        if new.get("compensating") and not old.get("compensating"):
            told["migration.compensation_started", None] += 1
        before = steps_of(old)
        for name, step in steps_of(new).items():
            self._step(told, new, before.get(name), step)

    def _state(self, told: Told, old: Record, new: Record) -> None:
        void = (old.get("approval") or {}).get("state") == "void"
        # A run with nothing to do succeeds in the write that starts it.
        if old["state"] in ("accepted", "awaiting_approval") and new["state"] in ("running", "succeeded") and not void:
            told["migration.started", None] += 1
        match new["state"]:
            case "awaiting_approval":
                is_void = new["approval"]["state"] == "void"
                told["migration.approval_void" if is_void else "migration.approval_awaited", None] += 1
            case "paused":
                told["migration.paused", None] += 1
            case "planned":
                for name in steps_of(new):
                    told["migration.step_planned", name] += 1
                told["migration.finished", None] += 1
            case end if end in tables.ENDS:
                told["migration.finished", None] += 1

    def _step(self, told: Told, run: Record, before: Record | None, after: Record) -> None:
        name, was, is_ = after["service"], before["state"] if before else "pending", after["state"]
        undone = bool(after.get("undo") and after["undo"]["ended"])
        was_undone = bool(before and before.get("undo") and before["undo"]["ended"])
        if undone and not was_undone:
            told["migration.step_compensated", name] += 1
        elif was != is_ and is_ == "running":
            told["migration.step_started", name] += 1
        elif was != is_ and is_ in ENDED and run["state"] != "planned":
            told["migration.step_finished", name] += 1
