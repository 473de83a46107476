"""`scripts/campaign engine`: the fault campaign on the migration engine, on real PostgreSQL, tier T1."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.conduct import Record, conduct, copied, digest
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.planted import show_that_each_is_found
from tests.campaign.report import write_report
from tests.campaign.schedule import PARTS, Size, quotas


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="rmbrain-campaign-", ignore_cleanup_errors=True) as folder:
            return _campaign(arguments, Path(folder))
    except InfrastructureError as error:
        print(f"The campaign could not be run: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/campaign", description=__doc__)
    parser.add_argument("what", choices=["engine"])
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="hit kills, mixes and races, each (200)")
    parser.add_argument("--each", type=int, default=5, metavar="N", help="hits of every failpoint and action (5)")
    parser.add_argument("--seed", type=int, default=None, help="replays that campaign's schedule")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, like A,D")
    parser.add_argument("--match", default="", metavar="TEXT", help="only quotas whose name has it, like commit_sent")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (2)")
    parser.add_argument("--resume", action="store_true", help="go on where a campaign of this seed and code stopped")
    parser.add_argument("--planted", nargs="*", metavar="M1", help="instead: show that planted bugs are found")
    parser.add_argument("--report", type=Path, default=None, metavar="DIR", help="write one there")
    parser.add_argument("--state", type=Path, default=None, metavar="FILE", help="where outcomes are kept for --resume")
    return parser.parse_args()


def _campaign(arguments: argparse.Namespace, folder: Path) -> int:
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    if arguments.planted is not None:
        return int(any(each.violation is None for each in show_that_each_is_found(folder, seed, arguments.planted)))
    subject = copied(folder / "subject")
    state = arguments.state or Path.home() / ".cache" / "rmbrain" / f"campaign-{seed}.jsonl"
    record = Record(state, digest(subject))
    if not arguments.resume:
        state.unlink(missing_ok=True)
    plan = quotas(Size(arguments.runs, arguments.each, tuple(arguments.only.split(","))), seed)
    plan = [quota for quota in plan if arguments.match in quota.name]
    outcomes = list(record.earlier())
    for outcome in outcomes:
        next(quota for quota in plan if quota.name == outcome.spec["quota"]).remember(outcome)
    began = time.monotonic()
    wanted = sum(quota.wanted for quota in plan)

    def told(outcome: Outcome) -> None:
        record.keep(outcome)
        outcomes.append(outcome)
        print(_line(outcome, sum(quota.hits for quota in plan), wanted), flush=True)

    conduct(plan, subject, folder, jobs=arguments.jobs, told=told)
    if arguments.report is not None:
        print(write_report(outcomes, plan, arguments.report, seed, time.monotonic() - began))
    bad = [outcome for outcome in outcomes if outcome.violations]
    missing = [quota.name for quota in plan if quota.hits < quota.wanted]
    print(f"{len(outcomes)} runs, {sum(each.hit for each in outcomes)} hit, {len(bad)} with violations, seed {seed}")
    print(f"not hit often enough: {', '.join(missing)}" if missing else "every quota was hit")
    return 1 if bad or missing else 0


def _line(outcome: Outcome, hits: int, wanted: int) -> str:
    spec = Spec(**{**outcome.spec, "nemeses": tuple(outcome.spec["nemeses"])})
    verdict = "VIOLATION" if outcome.violations else "ok" if outcome.hit else "not hit"
    told = " | ".join(outcome.violations[:3])
    return (
        f"[{hits}/{wanted}] {verdict:9} {outcome.seconds:5.1f} s  {spec}  {'/'.join(outcome.states)}  {told}".rstrip()
    )


if __name__ == "__main__":
    raise SystemExit(main())
