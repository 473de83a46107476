"""Sees every record that is written and every order that a service takes, and notes what must not be."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from migration_sidecar.contract.messages import OperationRequest
from tests.unit.coordinator.driver.run_model import starts, tables
from tests.unit.coordinator.driver.run_model.ledger import EventLedger
from tests.unit.coordinator.driver.run_model.services import ContractService
from tests.unit.coordinator.driver.run_model.tables import steps_of, under_way

Record = dict[str, Any]


class WatchedDocuments(dict[str, tuple[str, int]]):
    """What the state store holds; each write is shown to the witness when it takes effect."""

    def __init__(self, written: Callable[[str, str], None]) -> None:
        super().__init__()
        self._written = written

    def __setitem__(self, key: str, value: tuple[str, int]) -> None:
        super().__setitem__(key, value)
        self._written(key, value[0])


@dataclass
class Witness:
    """Knows the records only as JSON, and the databases as they are."""

    services: dict[str, ContractService]
    now: Callable[[], datetime]
    records: dict[str, Record] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    ledger: EventLedger = field(default_factory=EventLedger)
    approved: dict[str, dict[str, list[Any]]] = field(default_factory=dict)  # what was looked at, by run and service
    places: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # where a run found a database
    commands: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def written(self, key: str, text: str) -> None:
        if not key.startswith("run-"):
            return
        new = json.loads(text)
        old = self.records.get(new["request_id"])
        self.records[new["request_id"]] = new
        if old is None:
            self._require(new["state"] == "accepted", new, "a run begins as accepted")
        else:
            self._compare(old, new)
        self.ledger.changed(old, new)

    def ordered(self, service: ContractService, order: OperationRequest) -> None:
        """Nothing is ordered that is not on record, and no two runs are at work on one database."""
        name, request_id = service.address.service, order.operation_id.split(".")[0]
        run = self.records[request_id]
        step = steps_of(run)[name]
        known = {step["operation_id"], (step.get("undo") or {}).get("operation_id")}
        self._require(
            order.operation_id in known, run, f"the order {order.operation_id} is on record before it is given"
        )
        others = [
            each.operation_id
            for each in service.operations.values()
            if not each.state.ended and each.operation_id != order.operation_id
        ]
        self._require(not others, run, f"{others} had ended at {name} before {order.operation_id}")
        if not service.changed_by(f"{request_id}.{name}."):
            self.places[request_id, name] = list(service.current)

    def check_databases(self) -> None:
        """No revision is applied twice without having been taken back, whoever did it."""
        for name, service in self.services.items():
            at: list[str] = []
            for each in service.ledger:
                if each.action == "upgrade":
                    if each.revision in at:
                        self.violations.append(f"{name}: {each} was applied before")
                    at.append(each.revision)
                elif at[-1:] == [each.revision]:
                    at.pop()
                else:
                    self.violations.append(f"{name}: {each} is taken back, and was not the last one")

    def _compare(self, old: Record, new: Record) -> None:
        same, moved = old["state"] == new["state"], new["state"] in tables.RUN_MOVES[old["state"]]
        self._require(same or moved, new, f"a run does not move from {old['state']} to {new['state']}")
        self._require(new["generation"] >= old["generation"], new, "its generation never goes back")
        self._commands_once(old, new)
        if old["state"] in tables.ENDS and not same:
            self._require(self._given(old, new) == ["retry"], new, "only a retry opens an ended run")
        self._approval(old, new)
        before, after = steps_of(old), steps_of(new)
        self._require(before.keys() <= after.keys() or not before, new, "no step disappears")
        for name in before.keys() & after.keys():
            self._step(old, new, before[name], after[name])
        if new["state"] == "compensated" and not same:
            self._compensated(new)

    def _step(self, old: Record, new: Record, before: Record, after: Record) -> None:
        name, was, is_ = after["service"], before["state"], after["state"]
        allowed = was == is_ or is_ in tables.STEP_MOVES[was]
        self._require(allowed, new, f"the step of {name} does not move from {was} to {is_}")
        if (was, is_) == ("pending", "succeeded"):
            self._require(bool(before["applied"]), new, f"{name} succeeds without work only where work was done")
        if (was, is_) == ("pending", "running"):
            for wrong in starts.why_it_may_not_start(self, old, new, after):
                self._require(False, new, f"{name} may not start: {wrong}")
        if before.get("undo") is None and after.get("undo") is not None:
            for wrong in starts.why_it_may_not_be_taken_back(old, after):
                self._require(False, new, f"{name} may not be taken back: {wrong}")

    def _commands_once(self, old: Record, new: Record) -> None:
        known = self.commands[new["request_id"]]
        for command in self._new_commands(old, new):
            self._require(command["command_id"] not in known, new, f"{command['command_id']} has one effect")
            known.append(command["command_id"])
        retries = [command for command in self._new_commands(old, new) if command["verb"] == "retry"]
        rounds = new.get("round", 1) - old.get("round", 1)
        self._require(rounds == len(retries), new, "each retry begins one round, and nothing else does")

    def _approval(self, old: Record, new: Record) -> None:
        """Given by somebody else, for the plan as it is on record, by a command that was not used before."""
        given = (new.get("approval") or {}).get("state") == "given"
        if not given or (old.get("approval") or {}).get("state") == "given":
            return
        command = self._new_commands(old, new)[-1:]
        right = (
            [each["verb"] for each in command] == ["approve"]
            and command[0]["plan_digest"] == old["plan_digest"]
            and command[0]["caller"] != new["caller"]
            and old["state"] == "awaiting_approval"
        )
        self._require(right, new, "an approval is a new command of somebody else about this plan")
        self.approved[new["request_id"]] = {name: plan_of(step) for name, step in steps_of(old).items()}

    def _compensated(self, run: Record) -> None:
        """Its databases are where it found them, unless somebody else changed them since."""
        request_id = run["request_id"]
        self._require(not under_way(run), run, "a run that has ended has nothing under way")
        for name, service in self.services.items():
            places = service.changed_by(f"{request_id}.{name}.")
            if places and all(each.operation_id.startswith(f"{request_id}.") for each in service.ledger[places[0] :]):
                found = self.places[request_id, name]
                self._require(service.current == found, run, f"{name} is at {found} again, not at {service.current}")

    def _given(self, old: Record, new: Record) -> list[str]:
        return [command["verb"] for command in self._new_commands(old, new)]

    @staticmethod
    def _new_commands(old: Record, new: Record) -> list[Record]:
        known = [command["command_id"] for command in old.get("commands", [])]
        return [command for command in new.get("commands", []) if command["command_id"] not in known]

    def _require(self, holds: bool, run: Record, rule: str) -> None:
        if not holds:
            self.violations.append(f"{run['request_id']} ({run['state']}, version {run['version']}): {rule}")


def plan_of(step: Record) -> list[Any]:
    """What is agreed to of one step."""
    return [step["from_revisions"], step["to_revisions"], step["plan_digest"]]
