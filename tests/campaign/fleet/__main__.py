"""`scripts/campaign fleet`: the fault campaign on the whole fleet under real Dapr, tier T2."""

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
from tests.campaign.fleet.conduct import Quota, conduct
from tests.campaign.fleet.ground import copied, digest
from tests.campaign.fleet.planted import Found, show_that_each_is_found
from tests.campaign.fleet.record import Record
from tests.campaign.fleet.report import Session, commit, write_report
from tests.campaign.fleet.runs import Outcome
from tests.campaign.fleet.spec import KILLS, MIXED


class _Parser(argparse.ArgumentParser):
    """One sentence where others print how everything is used."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


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


def _arguments() -> argparse.Namespace:
    parser = _Parser(prog="scripts/campaign fleet", description=__doc__)
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="hit kills (100)")
    parser.add_argument("--mixed", type=int, default=None, metavar="N", help="hit mixed runs (six for ten kills)")
    parser.add_argument("--seed", type=int, default=None, help="replays that campaign's schedule")
    parser.add_argument("--resume", action="store_true", help="go on where a campaign of this seed and code stopped")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="begin no run after that")
    parser.add_argument("--planted", nargs="*", metavar="M2", help="only show that these planted bugs are found")
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
    if arguments.planted is not None:
        return 0 if _all_found(show_that_each_is_found(folder, arguments.planted)) else 1
    mixed = round(arguments.runs * 0.6) if arguments.mixed is None else arguments.mixed
    session = Session(seed, commit(), time.monotonic(), arguments.resume)
    subject, quotas = copied(folder / "subject"), [Quota(KILLS, arguments.runs, seed), Quota(MIXED, mixed, seed)]
    state = arguments.state or (arguments.report or folder) / f"campaign-fleet-{seed}.unfinished.jsonl"
    record = Record(state, digest(subject))
    if not arguments.resume:
        record.begin_anew()
    outcomes = record.earlier()
    by_part = {quota.part: quota for quota in quotas}
    for earlier in outcomes:
        by_part[earlier.part].count(earlier)

    def told(outcome: Outcome) -> None:
        record.keep(outcome)
        outcomes.append(outcome)
        print(_line(outcome, quotas), flush=True)

    try:
        conduct(quotas, subject, folder, told, arguments.minutes * 60)
    finally:
        known = record.earlier_found()
        found = show_that_each_is_found(folder, None, known) if arguments.report is not None else known
        for each in found[len(known) :]:
            record.keep_found(each)
        if arguments.report is not None and outcomes:
            print(write_report(outcomes, quotas, found, arguments.report, session))
    missing = [quota.part for quota in quotas if quota.hits < quota.wanted]
    bad = sum(bool(each.violations) for each in outcomes)
    print(f"{len(outcomes)} runs, {sum(each.hit for each in outcomes)} hit, {bad} with violations, seed {seed}")
    print(f"not hit often enough: {', '.join(missing)}" if missing else "every quota was hit")
    if not missing:
        state.unlink(missing_ok=True)
    return 0 if not missing and not bad and _all_found(found) else 1


def _all_found(found: list[Found]) -> bool:
    return all(each.sign is not None for each in found)


def _line(outcome: Outcome, quotas: list[Quota]) -> str:
    hits, wanted = sum(quota.hits for quota in quotas), sum(quota.wanted for quota in quotas)
    verdict = "ok" if outcome.hit else "not hit"
    verdict = "not judged" if outcome.own_troubles else "VIOLATION" if outcome.violations else verdict
    ends = "/".join(outcome.states.values())
    said = " | ".join([*outcome.violations, *outcome.own_troubles])[:600]
    recovery = "" if outcome.recovery_seconds is None else f"recovery {outcome.recovery_seconds:.1f} s"
    return (
        f"[{hits}/{wanted}] {verdict:10} {outcome.seconds:5.1f} s  {outcome.told}  {ends}  {recovery}  {said}".rstrip()
    )


if __name__ == "__main__":
    raise SystemExit(main())
