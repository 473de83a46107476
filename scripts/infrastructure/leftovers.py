"""Ends processes that a test left behind. Called by scripts/test, which fails if there are any."""

from __future__ import annotations

import sys

import psutil

from scripts.infrastructure.supervise import end


def leftovers(folder: str) -> list[psutil.Process]:
    """Processes whose command line or environment contains the folder, except this process and its parents."""
    mine = {each.pid for each in [psutil.Process(), *psutil.Process().parents()]}
    return [each for each in psutil.process_iter() if each.pid not in mine and _names(each, folder)]


def _names(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in [*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return False


def main() -> int:
    """Ends the processes of the folder that is the first argument. Exit code 1 if there were any."""
    processes = leftovers(sys.argv[1])
    for process in processes:
        print(f"left behind by a test: pid {process.pid}, {' '.join(process.cmdline())[:200]}", file=sys.stderr)
    end(processes, "a test's process")
    return 1 if processes else 0


if __name__ == "__main__":
    sys.exit(main())
