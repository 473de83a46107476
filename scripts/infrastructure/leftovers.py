"""Ends what still runs on behalf of one folder of test data; finding anything is a failure."""

from __future__ import annotations

import sys

import psutil

from scripts.infrastructure.supervise import end


def leftovers(folder: str) -> list[psutil.Process]:
    """Processes whose command line or environment names the folder; ourselves and our parents excluded."""
    mine = {each.pid for each in [psutil.Process(), *psutil.Process().parents()]}
    return [each for each in psutil.process_iter() if each.pid not in mine and _names(each, folder)]


def _names(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in [*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return False


def main() -> int:
    found = leftovers(sys.argv[1])
    for process in found:
        print(f"left behind by a test: pid {process.pid}, {' '.join(process.cmdline())[:200]}", file=sys.stderr)
    end(found, "a test's process")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
