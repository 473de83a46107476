"""Runs `python -m` of an application whose DATABASE_URL gets its password here, from a file that only its owner reads.

It is written neither into dapr.yaml, nor into an argument, nor into the environment that daprd shares.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from urllib.parse import quote


def main() -> None:
    """Arguments: the file, the module, and what that one is given; all drivers and every env.py find DATABASE_URL."""
    _, file, module, *arguments = sys.argv
    user, at, place = os.environ["DATABASE_URL"].partition("@")
    # Every reserved sign encoded, the blank too: not every driver forgives one.
    os.environ["DATABASE_URL"] = f"{user}:{quote(Path(file).read_bytes(), safe='')}{at}{place}"
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
