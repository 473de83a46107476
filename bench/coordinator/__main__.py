"""python -m bench.coordinator [--services 9 100 1000] [--parallel 4] [--json]: the coordinator's own cost per step."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

from bench.coordinator.one_run import measured


def main() -> None:
    """Prints one line for each size of the fleet."""
    parser = argparse.ArgumentParser(prog="python -m bench.coordinator", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[9, 100, 1000])
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        findings = list(processes.map(measured, arguments.services, [arguments.parallel] * len(arguments.services)))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    print("services  CPU ms/step  seconds  writes/step  bytes/step  largest document  turns  resident MiB")
    for each in findings:
        print(
            f"{each.services:8d}  {each.cpu_ms_per_step:11.2f}  {each.seconds:7.2f}  {each.writes_per_step:11.2f}"
            f"  {each.bytes_per_step:10d}  {each.largest_document:16d}  {each.turns:5d}"
            f"  {each.resident_mib:12d}"
        )


if __name__ == "__main__":
    main()
