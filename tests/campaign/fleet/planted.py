"""Bugs that are planted in a copy of the coordinator, and who has to find each: the fleet, or a test of the model.

Where an outcome depends on a few microseconds, the model of the unit tests finds the bug at once and the fleet by luck.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.settings import ROOT
from tests.campaign.fleet.ground import copied, standing_campaign
from tests.campaign.fleet.runs import carry_out
from tests.campaign.fleet.spec import MIXED, STALLED_SECONDS, Asked, Fault, FleetSpec

PREFIX = "fleet-"
PATCHES = {file.stem: file for file in (Path(__file__).parents[1] / "planted").glob(f"{PREFIX}*.patch")}
UNIT = "tests/unit/coordinator"
TESTED = ("tests/unit/coordinator", "tests/campaign", "tests/end_to_end", "scripts", "audit_verifier")
TEST_SECONDS = 300
FLEET = "the fleet"


@dataclass(frozen=True)
class PlantedBug:
    """`by` is a test of the model, or FLEET with the run that finds it, as a violation that begins like `sign`."""

    name: str
    what: str
    by: str
    spec: FleetSpec | None = None
    sign: str = ""
    runs: int = 1


def _racing() -> FleetSpec:
    """Calls at once with one id and two bodies."""
    asked = [
        Asked(f"race-{index}", {"request_id": f"race-{index}", "services": ["cds-task"]}, False, 2, True)
        for index in range(3)
    ]
    return FleetSpec(MIXED, 1, 0, {"cds-task": [0.2]}, requests=tuple(asked))


def _stalling() -> FleetSpec:
    asked = Asked("stalls", {"request_id": "stalls", "services": "all"}, False, verbs=((0.0, "pause"),))
    durations = {"cds-client": [0.5, 0.5], "cds-interaction": [0.5], "cds-task": [0.5]}
    return FleetSpec(
        MIXED, 1, 0, durations, requests=(asked,), faults=(Fault("workflow", "stall", 0.0, STALLED_SECONDS),)
    )


BUGS = (
    PlantedBug(
        "M2",
        "an event is acknowledged before its request is stored",
        f"{UNIT}/api/test_call_and_event.py::test_an_event_comes_again_while_state_is_down",
    ),
    PlantedBug("M3", "the record of a request is created without first-write", FLEET, _racing(), "C2", 3),
    PlantedBug(
        "M10",
        "a standstill is measured by the wall clock, and a jump counts",
        f"{UNIT}/runs/test_workflow_progress.py::test_a_process_or_machine_that_stood_still_makes_no_run_look_still",
    ),
    PlantedBug(
        "stalled-is-alive",
        "a stalled workflow counts as alive",
        f"{UNIT}/runs/test_workflow_progress.py"
        "::test_a_workflow_that_dapr_cannot_replay_is_followed_by_another_although_it_cannot_be_ended",
    ),
    PlantedBug(
        "approval-once",
        "an approval is checked when it is given, and not before each step",
        f"{UNIT}/driver/test_approvals.py::test_an_approval_is_void_when_a_member_of_the_plan_changed",
    ),
    PlantedBug(
        "retry-repeats",
        "a retry plans also what had succeeded",
        f"{UNIT}/driver/test_verbs.py"
        "::test_a_retry_repeats_the_failed_step_and_what_follows_and_nothing_that_succeeded",
    ),
    # The same bug, by the whole fleet: slow, because a workflow that nobody replaces is waited for.
    PlantedBug("stalled-is-alive", "a stalled workflow counts as alive", FLEET, _stalling(), "C10"),
)


@dataclass(frozen=True)
class Found:
    """What gave it away; None where it was not found."""

    bug: PlantedBug
    sign: str | None


def show_that_each_is_found(folder: Path, names: list[str] | None, known: Sequence[Found] = ()) -> list[Found]:
    """One line each; those that an earlier session has looked for are `known`."""
    found = list(known)
    for number, bug in enumerate(BUGS):
        if (not names or bug.name in names) and bug not in [each.bug for each in known]:
            found.append(Found(bug, search(bug, folder / f"planted-{number}")))
            print(f"{bug.name} {bug.what}, by {bug.by}: {found[-1].sign or 'NOT FOUND'}"[:300], flush=True)
    return found


def search(bug: PlantedBug, folder: Path) -> str | None:
    subject = planted(bug, folder / "subject")
    return _by_a_test(bug, subject) if bug.spec is None else _by_the_fleet(bug, bug.spec, folder, subject)


def planted(bug: PlantedBug, into: Path) -> Path:
    """A copy of the code with the bug in it; raises where the patch no longer fits."""
    into.mkdir(parents=True)
    subject = copied(into)
    patch = PATCHES[f"{PREFIX}{bug.name}"].read_text()
    done = subprocess.run(["git", "apply"], cwd=subject, input=patch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InfrastructureError(f"{PREFIX}{bug.name}.patch no longer fits: {done.stderr}")
    return subject


def _by_a_test(bug: PlantedBug, subject: Path) -> str | None:
    for part in TESTED:
        shutil.copytree(ROOT / part, subject / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for file in (*ROOT.glob("tests/*.py"), ROOT / "pyproject.toml"):
        shutil.copy(file, subject / file.relative_to(ROOT))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", bug.by],
        cwd=subject,
        env=os.environ | {"PYTHONPATH": str(subject)},
        capture_output=True,
        text=True,
        timeout=TEST_SECONDS,
        check=False,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, 1):
        raise InfrastructureError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}")
    return failed[0].partition("::")[2][:160] if failed else None


def _by_the_fleet(bug: PlantedBug, spec: FleetSpec, folder: Path, subject: Path) -> str | None:
    with standing_campaign(folder / "fleet", subject, replica=True) as campaign:
        for number in range(bug.runs):
            outcome = carry_out(_renamed(spec, number), campaign)
            for text in outcome.violations:
                if text.startswith(bug.sign):
                    return text[:200]
    return None


def _renamed(spec: FleetSpec, number: int) -> FleetSpec:
    requests = [
        Asked(f"{each.name}-{number}", {**each.body, "request_id": f"{each.name}-{number}"}, each.by_event,
              each.copies, each.conflicting, each.verbs)
        for each in spec.requests
    ]  # fmt: skip
    return FleetSpec(spec.part, number + 1, spec.seed, spec.revisions, spec.broken, tuple(requests), spec.faults)
