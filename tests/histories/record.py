"""Records the histories of a release, with that release's own workflow: see README.md."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from coordinator.workflow import ROUNDS_PER_HISTORY, migrate  # type: ignore[attr-defined]  # of that release

# The file beside this one; the packages of today are not on the path.
_beside = import_module("engine")
Engine, documents = _beside.Engine, _beside.documents

COMMAND = {"request_id": "r-1"}
LEGS = [
    {"service": "audit", "after": [], "state": "pending"},
    {"service": "first", "after": ["audit"], "state": "pending"},
    {"service": "second", "after": ["audit"], "state": "pending"},
    {"service": "third", "after": ["first", "second"], "state": "pending"},
]
PLAN = {"legs": LEGS, "max_parallel": 2, "ended": False}


def report(service: str, state: str, again_after_seconds: float = 0) -> dict[str, Any]:
    return {"service": service, "state": state, "again_after_seconds": again_after_seconds}


def started() -> Any:
    engine = Engine(migrate)
    engine.start(COMMAND)
    return engine


def planned() -> Any:
    engine = started()
    engine.complete((1, PLAN))
    return engine


def in_the_wave() -> Any:
    """`audit` is done, and `first` and `second` are under way."""
    engine = planned()
    engine.complete((2, report("audit", "running")))
    engine.complete((3, report("audit", "succeeded")))
    return engine


def mid_wave() -> Any:
    engine = in_the_wave()
    engine.complete((5, report("second", "running")))
    return engine


def retrying() -> Any:
    engine = in_the_wave()
    engine.complete((4, report("first", "succeeded")))
    engine.fail(5)
    engine.fire(6)
    engine.fail(7)
    return engine


def waiting_timer() -> Any:
    engine = planned()
    engine.complete((2, report("audit", "pending", 2.0)))
    return engine


def second_history() -> Any:
    engine = planned()
    orders: list[Any] = []
    for number in range(ROUNDS_PER_HISTORY):
        orders = engine.complete((2 + number, report("audit", "running")))
    assert [order.what for order in orders] == ["continued as new"]
    second = Engine(migrate, at=engine.at)
    second.start(COMMAND)
    running = [{**LEGS[0], "state": "running"}, *LEGS[1:]]
    second.complete((1, {**PLAN, "legs": running}))
    return second


def settling() -> Any:
    engine = in_the_wave()
    engine.complete((4, report("first", "failed")), (5, report("second", "succeeded")))
    engine.complete((6, {"settled": False}))
    return engine


# Each with what comes next.
NEXT = {
    "start": (started, lambda engine: engine.complete((1, PLAN))),
    "mid_wave": (mid_wave, lambda engine: engine.complete((4, report("first", "succeeded")))),
    "retrying": (retrying, lambda engine: engine.fire(8)),
    "waiting_timer": (waiting_timer, lambda engine: engine.fire(3)),
    "second_history": (second_history, lambda engine: engine.complete((2, report("audit", "succeeded")))),
    "settling": (settling, lambda engine: engine.fire(7)),
}


def main(folder: Path) -> None:
    for name, (recorded, come_next) in NEXT.items():
        engine = recorded()
        length = len(engine.history)
        orders = come_next(engine)
        new = engine.history[length : len(engine.history) - len(orders)]
        document = {
            "instance_id": engine.instance_id,
            "history": documents(engine.history[:length]),
            "new": documents(new),
            "orders": orders,
        }
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
