"""When a step may start, and when it may be taken back, told from the records and the databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from migration_sidecar.contract.messages import Action
from tests.unit.coordinator.driver.run_model import tables
from tests.unit.coordinator.driver.run_model.tables import steps_of, under_way

if TYPE_CHECKING:
    from tests.unit.coordinator.driver.run_model.witness import Witness

Record = dict[str, Any]
AT_TARGET = ("succeeded", "unchanged")
# Between the last look at the clock and the write of the record.
MOMENT = timedelta(seconds=5)


def why_it_may_not_start(witness: Witness, old: Record, new: Record, step: Record) -> Iterator[str]:
    """One sentence for each rule that is broken; `old` is the record in which the step still waits."""
    if old["state"] != "running" or old.get("stop") or old.get("compensating"):
        yield f"the run is {old['state']}, stop: {old.get('stop')}, compensating: {old.get('compensating')}"
    yield from _against_the_order(old, new, step)
    yield from _beside_another_run(witness, new)
    yield from _out_of_time(old, witness.now())
    yield from _not_agreed_to(witness, old, step)


def why_it_may_not_be_taken_back(old: Record, step: Record) -> Iterator[str]:
    if old["request"]["on_failure"] != "compensate" or not old.get("compensating"):
        yield "nobody asked for it"
    if under_way(old):
        yield f"{under_way(old)} are under way"
    for name, other in steps_of(old).items():
        undone = other.get("undo") and other["undo"]["ended"]
        if step["service"] in tables.before(old, name) and other["applied"] and not undone:
            yield f"{name} depends on it, and was not taken back"


def _against_the_order(old: Record, new: Record, step: Record) -> Iterator[str]:
    steps, name = steps_of(old), step["service"]
    states = {each: other["state"] for each, other in steps.items()}
    waits_for = {each for each in tables.before(old, name) if states[each] not in AT_TARGET}
    if waits_for:
        yield f"it depends on {waits_for}"
    if len(under_way(new)) > old["request"]["max_parallel"]:
        yield f"{under_way(new)} are under way"
    failed = {each for each, state in states.items() if state in ("failed", "needs_attention")}
    if len(failed) > tables.failures_allowed(old):
        yield f"{failed} have failed"
    first = set(old["request"].get("first", []))
    if failed & first:
        yield f"a canary of {first} has failed"
    if name not in tables.canaries(old) and any(states[each] not in AT_TARGET for each in first):
        yield f"the canaries {first} come first"


def _beside_another_run(witness: Witness, run: Record) -> Iterator[str]:
    for other in witness.records.values():
        shared = tables.chosen(other) & tables.chosen(run)
        if other["request_id"] != run["request_id"] and shared and not other["request"]["dry_run"] and under_way(other):
            yield f"{other['request_id']} has {shared} too, and is at {under_way(other)}"


def _out_of_time(run: Record, now: datetime) -> Iterator[str]:
    not_before, deadline = run["request"].get("not_before"), run["request"].get("deadline")
    if not_before and now + MOMENT < datetime.fromisoformat(not_before):
        yield f"it is {now}, and not to start before {not_before}"
    if deadline and now - MOMENT > datetime.fromisoformat(deadline):
        yield f"it is {now}, and the deadline was {deadline}"


def _not_agreed_to(witness: Witness, run: Record, step: Record) -> Iterator[str]:
    """An approval is of these places and files, has not expired, and the service would still do the same."""
    name, request = step["service"], run["request"]
    approval = run.get("approval")
    if approval is None:
        if request["approval"] == "required" or request["action"] == "downgrade":
            yield "nobody approved it"
        return
    looked_at = witness.approved.get(run["request_id"], {}).get(name)
    is_now = [step["from_revisions"], step["to_revisions"], step["plan_digest"]]
    if approval["state"] != "given" or looked_at != is_now:
        yield f"{looked_at} was approved ({approval['state']}), and it would do {is_now}"
    if witness.now() - MOMENT > datetime.fromisoformat(approval["expires_at"]):
        yield f"the approval was good until {approval['expires_at']}"
    service = witness.services[name]
    if service.down:
        return  # it compares the plan itself, once it answers
    plan = service.plan(step["target"], action=Action(request["action"]))
    if plan.digest != step["plan_digest"] and not plan.obstacles:
        yield "its files or its database are others than were approved"
