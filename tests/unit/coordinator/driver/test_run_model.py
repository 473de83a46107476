"""Runs of every policy, with deaths, outages, verbs and other people in between: what must never be, never is."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.unit.coordinator.driver.run_model.ending import answer, end_of_all
from tests.unit.coordinator.driver.run_model.fleet_under_test import FleetUnderTest
from tests.unit.coordinator.driver.run_model.policies import set_up, some_request
from tests.unit.coordinator.driver.run_model.services import CHANGES
from tests.unit.coordinator.driver.run_model.tables import SERVICES

MOST_RUNS = 4
EXAMPLES, STEPS = 250, 50

seeds = st.integers(0, 2**32)
services = st.sampled_from(SERVICES)
people = st.sampled_from(["ann", "bob"])
which = st.integers(0, MOST_RUNS - 1)
verbs = st.sampled_from(["approve", "approve", "reject", "pause", "resume", "resume", "cancel", "retry", "retry"])


class RunMachine(RuleBasedStateMachine):
    """One fleet, up to four runs; after each step nothing may have happened that must not."""

    steps = 0

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        self.fleet = FleetUnderTest(seed)
        self.requests: dict[str, tuple[str, dict[str, Any]]] = {}
        self.commands = 0
        for service in self.fleet.services.values():
            set_up(self.fleet.random, service)
        self.ask(seed, "ann")

    @property
    def runs(self) -> list[str]:
        return list(self.fleet.witness.records)

    @precondition(lambda self: len(self.requests) < MOST_RUNS)
    @rule(seed=seeds, asked_by=people)
    def ask(self, seed: int, asked_by: str) -> None:
        request_id = f"r-{len(self.requests) + 1}"
        fields = some_request(Random(seed), self.fleet.world.clock.at)
        note(f"{request_id}: {fields}")
        self.requests[request_id] = asked_by, fields
        self.fleet.accept(request_id, asked_by, **fields)

    @precondition(lambda self: self.requests)
    @rule(nth=which)
    def ask_again(self, nth: int) -> None:
        request_id = list(self.requests)[nth % len(self.requests)]
        asked_by, fields = self.requests[request_id]
        self.fleet.accept(request_id, asked_by, **fields)

    @precondition(lambda self: self.runs)
    @rule(nth=which)
    def drive_to_where_it_waits(self, nth: int) -> None:
        self.fleet.drive(self._run(nth), 5, wait=False)

    @precondition(lambda self: self.runs)
    @rule(nth=which, turns=st.integers(1, 4), wait=st.booleans())
    def drive(self, nth: int, turns: int, wait: bool) -> None:
        self.fleet.drive(self._run(nth), turns, wait=wait)

    @precondition(lambda self: self.runs)
    @rule(replicas=st.integers(1, 2))
    def drive_all_together(self, replicas: int) -> None:
        self.fleet.drive_together(self.runs, replicas)

    @precondition(lambda self: self.runs)
    @rule(nth=which)
    def drive_a_former_generation(self, nth: int) -> None:
        self.fleet.drive_former(self._run(nth))

    @rule(effects=st.integers(1, 60), before=st.booleans())
    def be_mortal(self, effects: int, before: bool) -> None:
        self.fleet.fate.dies_at, self.fleet.fate.before = self.fleet.fate.effects + effects, before

    @precondition(lambda self: self.runs)
    @rule(nth=which, how=st.sampled_from(["lost", "over", "paused", "stalled"]))
    def stop_the_workflow(self, nth: int, how: str) -> None:
        name, instance = self.fleet.instance(self._run(nth))
        if instance is None:
            return
        match how:
            case "lost":
                del self.fleet.world.workflows.instances[name]
            case "over":
                instance.over = True
            case "paused":
                instance.paused = True
            case _:
                instance.stalled = True

    @rule(rounds=st.integers(1, 4))
    def recover(self, rounds: int) -> None:
        self.fleet.recover(rounds)

    @precondition(lambda self: self.runs)
    @rule(nth=which, verb=verbs, by=people, repeat=st.integers(0, 4), right=st.integers(0, 4), now=st.booleans())
    def command(self, nth: int, verb: str, by: str, repeat: int, right: int, now: bool) -> None:
        request_id, fields = self._run(nth), dict[str, Any]()
        self.commands += repeat != 0
        if verb == "approve":
            digest = self.fleet.witness.records[request_id]["plan_digest"]
            fields["plan_digest"] = digest if right and digest else "0" * 64
        if verb == "pause":
            fields["now"] = now
        self.fleet.command(request_id, verb, by, f"c-{self.commands}", **fields)

    @precondition(lambda self: self.runs)
    @rule(nth=which, command=st.integers(1, 10**9))
    def do_what_is_asked(self, nth: int, command: int) -> None:
        answer(self.fleet, self._run(nth), f"answer-{command}", again=True)

    @rule(name=services, change=st.sampled_from(sorted(CHANGES)))
    def change_service(self, name: str, change: str) -> None:
        CHANGES[change](self.fleet.services[name])

    @rule(what=st.sampled_from(["audit", "topic", "documents"]), down=st.integers(0, 3))
    def change_infrastructure(self, what: str, down: int) -> None:
        getattr(self.fleet.world, what).down = down == 0

    @rule(seconds=st.sampled_from([-2, -2, 1, 30, 61, 601, 3600, 90_000]))
    def set_the_clock(self, seconds: int) -> None:
        self.fleet.world.clock.at += timedelta(seconds=seconds)

    @invariant()
    def nothing_has_happened_that_must_not(self) -> None:
        RunMachine.steps += 1
        if hasattr(self, "fleet"):
            assert self.fleet.violations == []

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        try:
            if not self.fleet.violations:
                end_of_all(self.fleet)
            assert self.fleet.violations == []
        finally:
            self.fleet.close()

    def _run(self, nth: int) -> str:
        return self.runs[nth % len(self.runs)]


def test_whatever_happens_nothing_wrong_is_done_and_every_run_ends() -> None:
    RunMachine.steps = 0
    how = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=True, database=None, print_blob=True)
    run_state_machine_as_test(RunMachine, settings=how)
    assert RunMachine.steps >= 5000
