"""The course of one run of the campaign: requests, verbs and faults at their times, until everything has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.fleet.client import Client
from tests.campaign.fleet.faults import FaultMaker, NotNow, Placed
from tests.campaign.fleet.ground import CampaignGround
from tests.campaign.fleet.spec import Asked, Fault, FleetSpec
from tests.end_to_end.ground import ENDED

LOOK_SECONDS = 0.15
ENDS = ENDED | {"compensated"}
LIMIT_SECONDS = 60.0
# A suspended or stalled workflow is healed by nobody but the coordinator, which waits for 60 s.
REPLACED_SECONDS = 60.0
GIVEN_UP_SECONDS = 240.0
NEVER_HIT_SECONDS = 25.0
WRONG = "0" * 64


@dataclass
class Course:
    """Everything happens in one thread: a server that is started again dies with the thread that started it."""

    campaign: CampaignGround
    spec: FleetSpec
    violations: list[str] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    before_retry: dict[str, dict[str, Any]] = field(default_factory=dict)
    unreachable: int = 0  # runs that ended because a service did not answer while they were planned, and were retried
    changed_service: str = ""  # one of whose files was changed after the approval
    changed_at: float = 0.0
    last_act: float = 0.0  # when the campaign healed something or gave a verb, by the machine's clock
    _held_since: dict[str, float] = field(default_factory=dict)
    _commands: int = 0

    def __post_init__(self) -> None:
        self.client = Client(self.campaign.ground)
        self.faults = FaultMaker(self.campaign, self.violations)
        self.ids = [each.name for each in self.spec.requests]
        self._waiting: list[Fault] = list(self.spec.faults)
        self._verbs = [(at, each.name, verb) for each in self.spec.requests for at, verb in each.verbs]
        self._wrong = {each.name for each in self.spec.requests if each.wrong_approval}

    def carry_out(self) -> None:
        self._write_revisions()
        for asked in self.spec.requests:
            self._ask(asked)
        began, first_work = time.monotonic(), 0.0
        while True:
            first_work = first_work or (time.monotonic() if self.faults.working() else 0.0)
            since = time.monotonic() - first_work if first_work else 0.0
            if first_work or time.monotonic() - began > NEVER_HIT_SECONDS:
                self._place_faults(since)
                self._give_verbs(since)
            self._heal()
            if self._all_ended():
                break
            waited = time.time() - max(self.last_act, self.placed[-1].at if self.placed else 0.0)
            if (self.placed and self._healed and waited > GIVEN_UP_SECONDS) or time.monotonic() - began > 480:
                open_runs = [each for each in self.ids if self.records.get(each, {}).get("state") not in ENDS]
                self.violations.append(f"C10: not ended {waited:.0f} s after the last fault was healed: {open_runs}")
                break
            time.sleep(LOOK_SECONDS)
        self._heal(everything=True)

    @property
    def _healed(self) -> bool:
        return all(each.healed_at is not None for each in self.placed)

    def _write_revisions(self) -> None:
        for name, durations in self.spec.revisions.items():
            for index, seconds in enumerate(durations):
                last = index == len(durations) - 1
                revision = f"{self.spec.part}{self.spec.number}_{index}".lower()
                broken = last and name == self.spec.broken
                self.campaign.histories[name].add(revision, seconds, broken=broken)

    def _ask(self, asked: Asked) -> None:
        self.client.request(asked)

    def _place_faults(self, since: float) -> None:
        for fault in list(self._waiting):
            if since < fault.seconds and since:
                continue
            try:
                self.placed.append(self.faults.place(fault, self.ids))
            except NotNow:
                if not self._all_ended():
                    continue
            self._waiting.remove(fault)

    def _heal(self, *, everything: bool = False) -> None:
        for each in self.placed:
            if each.healed_at is None and (everything or time.monotonic() >= each.due):
                each.heal()
                each.healed_at = self.last_act = time.time()

    def _give_verbs(self, since: float) -> None:
        for given in list(self._verbs):
            at, name, verb = given
            if since >= at:
                more = {"now": True} if verb == "pause now" else {}
                if self._command(name, verb.split()[0], **more) is not None:
                    self._verbs.remove(given)

    def _command(self, name: str, verb: str, **more: Any) -> dict[str, Any] | None:
        self._commands += 1
        answer = self.client.command(name, verb, self._commands, **more)
        if answer is not None:
            self.last_act = time.time()
        return answer

    def _all_ended(self) -> bool:
        for name in self.ids:
            run = self.client.run(name)
            if run is None:
                continue
            self.records[name] = run
            self._steer(name, run)
        known = [self.records.get(name) for name in self.ids]
        over = all(run is not None and run["state"] in ENDS and run["audit"] == "recorded" for run in known)
        return over and not self._to_retry() and (self._healed or not self.placed)

    def _steer(self, name: str, run: dict[str, Any]) -> None:
        """What is held is let go after a moment; what failed is retried once the revision is repaired."""
        if run["state"] in ("paused", "awaiting_approval"):
            wanted = any(fault.kind == "workflow" for fault in self._waiting)
            since = self._held_since.setdefault(name, time.monotonic())
            if time.monotonic() - since < 1.0 or (wanted and time.monotonic() - since < 10):
                return
            if run["state"] == "paused":
                self._command(name, "resume")
            else:
                self._approve(name, run)
        self._held_since.pop(name, None)
        if name in self._to_retry() and self._healed:
            self._retry(name, run)

    def _approve(self, name: str, run: dict[str, Any]) -> None:
        if name in self._wrong:
            self._wrong.discard(name)
            answer = self._command(name, "approve", plan_digest=WRONG)
            if answer is not None and answer.get("code") != "CM-607":
                self.violations.append(f"C13: an approval of another plan was answered {answer.get('code')}")
            return
        self._command(name, "approve", plan_digest=run["plan_digest"])
        if any(fault.what == "file changed" for fault in self.spec.faults) and not self.changed_at:
            self.changed_service = list(self.spec.revisions)[-1]
            history = self.campaign.histories[self.changed_service]
            history.change(history.ids[-1])
            self.changed_at = time.time()

    def _to_retry(self) -> list[str]:
        found = []
        for name, run in self.records.items():
            if run["state"] in ("failed", "needs_attention") and run.get("round", 1) < 3:
                found.append(name)
        return found

    def _retry(self, name: str, run: dict[str, Any]) -> None:
        if _was_unreachable(run):
            self.unreachable += 1
        self.campaign.histories[self.spec.broken].repair() if self.spec.broken else None
        if self._command(name, "retry") is not None:
            self.before_retry.setdefault(name, run)
            self.records.pop(name)


def _was_unreachable(run: dict[str, Any]) -> bool:
    return bool(run["obstacles"]) and all(each["code"].startswith("CM-8") for each in run["obstacles"])
