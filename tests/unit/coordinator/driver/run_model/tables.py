"""What the witness holds the records against: written down here anew, and taken from no module of the coordinator."""

from __future__ import annotations

import math
from typing import Any

SERVICES = ["audit", "first", "second", "third"]
DEPENDS_ON = {"audit": set(), "first": {"audit"}, "second": {"audit", "first"}, "third": {"audit"}}
CATALOG = """
[fleet]
name = "test"
audit = "audit"
[[services]]
name = "audit"
database = "audit_db"
[[services]]
name = "first"
database = "first_db"
[[services]]
name = "second"
database = "second_db"
depends_on = ["first"]
[[services]]
name = "third"
database = "third_db"
[[operators]]
name = "ann"
may = ["admin"]
[[operators]]
name = "bob"
may = ["admin"]
"""

ENDS = {"succeeded", "failed", "cancelled", "compensated", "needs_attention"}
RUN_MOVES: dict[str, set[str]] = {
    # With nothing to do, a run starts and succeeds in one write.
    "accepted": {"running", "awaiting_approval", "paused", "planned", "failed", "cancelled", "succeeded"},
    "awaiting_approval": {"running", "failed", "cancelled", "succeeded"},
    "running": {"paused", "awaiting_approval", *ENDS},
    "paused": {"running", "accepted", "failed", "cancelled"},
    "failed": {"accepted"},
    "needs_attention": {"accepted"},
    "succeeded": set(),
    "cancelled": set(),
    "compensated": set(),
    "planned": set(),
}
STEP_MOVES: dict[str, set[str]] = {
    # By an earlier operation, before a pause or a retry, it may have succeeded, or be taken back.
    "pending": {"running", "unchanged", "skipped", "cancelled", "succeeded", "reverted", "needs_attention"},
    "running": {"pending", "succeeded", "unchanged", "failed", "cancelled", "needs_attention"},
    "succeeded": {"reverted", "needs_attention"},
    "failed": {"pending", "reverted", "needs_attention"},
    "skipped": {"pending"},
    "needs_attention": {"pending"},
    "cancelled": {"reverted", "needs_attention"},
    "unchanged": set(),
    "reverted": set(),
}
EVENT_OF_VERB = {
    "approve": "migration.approved",
    "reject": "migration.plan_rejected",
    "pause": "migration.pause_requested",
    "resume": "migration.resumed",
    "cancel": "migration.cancel_requested",
    "retry": "migration.retried",
}


def chosen(run: dict[str, Any]) -> set[str]:
    """The services of a run."""
    named = run["request"]["services"]
    return set(SERVICES) if named == "all" else set(named)


def before(run: dict[str, Any], service: str) -> set[str]:
    """The services of the run that have to be at their targets before this one."""
    among = chosen(run)
    if run["request"]["action"] == "downgrade":
        return {other for other in among if service in DEPENDS_ON[other]}
    return DEPENDS_ON[service] & among


def canaries(run: dict[str, Any]) -> set[str]:
    """Those that go first, with everything that has to go before them."""
    todo = list(run["request"].get("first", []))
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += before(run, name)
    return found


def failures_allowed(run: dict[str, Any]) -> float:
    """How many steps may have failed when another one starts."""
    if run["request"]["on_failure"] != "continue":
        return 0
    most = run["request"].get("max_failures")
    if most is None:
        return math.inf
    return int(most) if isinstance(most, int) else len(chosen(run)) * int(most[:-1]) // 100


def steps_of(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["service"]: step for step in run["steps"]}


def under_way(run: dict[str, Any]) -> set[str]:
    """The services at which it has an operation that has not ended."""
    return {
        step["service"]
        for step in run["steps"]
        if step["state"] == "running" or (step.get("undo") and not step["undo"].get("ended"))
    }
