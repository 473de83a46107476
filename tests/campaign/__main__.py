"""`scripts/campaign engine`: the fault campaign on the migration engine, on real PostgreSQL, tier T1."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.conduct import conduct, copied, digest
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.planted import Found, show_that_each_is_found
from tests.campaign.record import Record
from tests.campaign.report import Session, commit, write_report
from tests.campaign.schedule import PARTS, Quota, Size, quotas

PLANTED = "M"


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory(prefix="rmbrain-campaign-", ignore_cleanup_errors=True) as folder:
            return _campaign(arguments, Path(folder))
    except InfrastructureError as error:
        print(f"The campaign could not be run: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """One sentence where others print how everything is used."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _arguments() -> argparse.Namespace:
    parser = _Parser(prog="scripts/campaign", description=__doc__)
    parser.add_argument("what", choices=["engine"])
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="hit kills, mixes and races, each (200)")
    parser.add_argument("--each", type=int, default=5, metavar="N", help="hits of every failpoint and action (5)")
    parser.add_argument("--seed", type=int, default=None, help="replays that campaign's schedule")
    parser.add_argument("--only", default=",".join((*PARTS, PLANTED)), help="parts, like A,D; M is the planted bugs")
    parser.add_argument("--match", default="", metavar="TEXT", help="only quotas whose name has it, like commit_sent")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (2)")
    parser.add_argument("--resume", action="store_true", help="go on where a campaign of this seed and code stopped")
    parser.add_argument("--planted", nargs="*", metavar="M1", help="only show that these planted bugs are found")
    parser.add_argument("--report", type=Path, default=None, metavar="DIR", help="write one there")
    parser.add_argument(
        "--state", type=Path, default=None, metavar="FILE", help="kept for --resume (beside the report)"
    )
    arguments = parser.parse_args()
    if arguments.resume and (arguments.seed is None or not (arguments.state or arguments.report)):
        parser.error("--resume needs the --seed and the --report or --state of the campaign that it goes on with")
    return arguments


def _campaign(arguments: argparse.Namespace, folder: Path) -> int:
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    parts = (PLANTED,) if arguments.planted is not None else tuple(arguments.only.split(","))
    subject, session = copied(folder / "subject"), Session(seed, commit(), time.monotonic(), arguments.resume)
    plan = quotas(Size(arguments.runs, arguments.each, parts), seed)
    plan = [quota for quota in plan if arguments.match in quota.name]
    state = arguments.state or (arguments.report or folder) / f"campaign-{seed}.unfinished.jsonl"
    record = Record(state, digest(subject))
    if not arguments.resume:
        record.begin_anew()
    outcomes = record.take_up(plan)
    wanted = sum(quota.wanted for quota in plan)

    def told(outcome: Outcome) -> None:
        record.keep(outcome)
        outcomes.append(outcome)
        print(_line(outcome, sum(quota.hits for quota in plan), wanted), flush=True)

    if plan:
        conduct(plan, subject, folder / "workers", jobs=arguments.jobs, told=told)
    found = show_that_each_is_found(subject, folder, seed, arguments.planted) if PLANTED in parts else []
    if arguments.report is not None:
        print(write_report(outcomes, plan, found, arguments.report, session))
    complete = _summed_up(outcomes, plan, found, seed)
    if complete:
        state.unlink(missing_ok=True)
    return 0 if complete and not any(each.violations for each in outcomes) else 1


def _summed_up(outcomes: list[Outcome], plan: list[Quota], found: list[Found], seed: int) -> bool:
    """Whether everything that was planned was hit, and every planted bug found."""
    bad = [outcome for outcome in outcomes if outcome.violations]
    missing = [quota.name for quota in plan if quota.hits < quota.wanted]
    missing += [each.bug.name for each in found if each.violation is None]
    print(f"{len(outcomes)} runs, {sum(each.hit for each in outcomes)} hit, {len(bad)} with violations, seed {seed}")
    if found:
        print(f"{sum(each.violation is not None for each in found)} of {len(found)} planted bugs found")
    print(f"not hit often enough or not found: {', '.join(missing)}" if missing else "every quota was hit")
    return not missing


def _line(outcome: Outcome, hits: int, wanted: int) -> str:
    spec = Spec(**{**outcome.spec, "nemeses": tuple(outcome.spec["nemeses"])})
    verdict = (
        "VIOLATION"
        if outcome.violations
        else "not judged"
        if not outcome.judged
        else "ok"
        if outcome.hit
        else "not hit"
    )
    told = " | ".join([*outcome.violations, *outcome.own_troubles, *outcome.set_aside][:3])
    return (
        f"[{hits}/{wanted}] {verdict:10} {outcome.seconds:5.1f} s  {spec}  {'/'.join(outcome.states)}  {told}".rstrip()
    )


if __name__ == "__main__":
    raise SystemExit(main())
