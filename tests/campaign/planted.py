"""A checker that never fails is broken: each planted bug is a small patch to a copy, and must be found soon."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.checker import LOCK_LOST
from tests.campaign.conduct import conduct, copied
from tests.campaign.corpus import EACH, ONE
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.races import BY_HAND
from tests.campaign.schedule import Quota

FLEET = "fleet-"  # bugs of the coordinator, which the campaign on the fleet looks for
PATCHES = {
    file.stem: file.read_text()
    for file in Path(__file__).with_name("planted").glob("*.patch")
    if not file.stem.startswith(FLEET)
}
SEARCH_SECONDS = 900.0  # no further run begins then


@dataclass(frozen=True)
class PlantedBug:
    """`runs`: within so many hit runs of this kind it must be found, as a violation that begins like `sign`."""

    name: str
    what: str
    runs: int
    spec: Spec
    sign: str
    patch: str = ""  # the name of another bug that has the same patch


ORPHAN = Spec("C", nemeses=("kill in a statement",), form=EACH)
# Somebody who waits for the lock within a statement keeps an index from being built concurrently.
WAITING = Spec("D", nemeses=(BY_HAND,), form=EACH)
JOURNALLED = Spec("B", failpoint="journal_written", action="kill")
UNANSWERED = Spec("B", failpoint="commit_sent", action="kill")
KILLED = Spec("B", failpoint="between_statements", action="kill", form=EACH)
CUT_OFF = Spec("B", failpoint="between_statements", action="drop")
LOST = Spec("B", nemeses=(LOCK_LOST,))
BUGS = (
    PlantedBug("M1", "the lock on a second connection", 20, ORPHAN, "I8"),
    PlantedBug("M4", "a lock that is waited for in a statement", 10, WAITING, "D"),
    PlantedBug("M5", "the journal row outside the revision's transaction", 20, JOURNALLED, "I4"),
    PlantedBug("M6", "a new attempt after a lost connection without asking the database", 10, CUT_OFF, "I5"),
    PlantedBug("M7", "threads instead of processes", 1, Spec("D"), "P3"),
    PlantedBug("M8", "one transaction for all revisions where env.py wants one each", 5, KILLED, "P4"),
    PlantedBug("M9", "the journal row after the COMMIT of the one transaction", 5, replace(UNANSWERED, form=ONE), "I4"),
    PlantedBug(
        "M10",
        "the lock checked before a revision, not before COMMIT (one transaction)",
        5,
        replace(LOST, form=ONE),
        "I9",
    ),
    PlantedBug("M11", "the same with a transaction for each revision", 5, replace(LOST, form=EACH), "I9", patch="M10"),
    PlantedBug("M12", "a retry that repeats a committed revision", 5, replace(UNANSWERED, form=EACH, nth=4), "I4"),
)


@dataclass(frozen=True)
class Found:
    """How many hit runs it took, and what gave it away; None where it was not found."""

    bug: PlantedBug
    hits: int
    violation: str | None


def show_that_each_is_found(subject: Path, folder: Path, seed: int, names: list[str] | None) -> list[Found]:
    """One line each; stops at the first violation that tells of it."""
    found = []
    for bug in BUGS:
        if not names or bug.name in names:
            found.append(search(bug, subject, folder / bug.name, seed))
            print(_line(found[-1]), flush=True)
    return found


def search(bug: PlantedBug, sound: Path, folder: Path, seed: int) -> Found:
    subject = planted(bug, sound, folder / "subject")
    quota = Quota(bug.name, bug.runs, lambda *_: bug.spec, seed)
    seen: list[str] = []

    def told(outcome: Outcome) -> None:
        print(f"  {bug.name} {outcome.seconds:5.1f} s {'hit' if outcome.hit else 'not hit'}", flush=True)
        seen.extend(text for text in outcome.violations if bug.sign in text)
        if seen:
            quota.wanted = 0

    conduct([quota], subject, folder / "workers", jobs=1, told=told, seconds=SEARCH_SECONDS)
    return Found(bug, min(quota.hits, bug.runs), seen[0] if seen else None)


def planted(bug: PlantedBug, sound: Path, into: Path) -> Path:
    """A copy of the code with the bug in it; raises where the patch no longer fits."""
    into.mkdir(parents=True)
    subject = copied(into, sound)
    done = subprocess.run(
        ["git", "apply"], cwd=subject, input=PATCHES[bug.patch or bug.name], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InfrastructureError(f"{bug.patch or bug.name}.patch no longer fits: {done.stderr}")
    return subject


def _line(found: Found) -> str:
    told = f"found in {found.hits} hit runs: {found.violation}" if found.violation else f"NOT FOUND in {found.hits}"
    return f"{found.bug.name} {found.bug.what}: {told}"[:400]
