"""Runs `python -m` of an application, and adds the password from a private file to its DATABASE_URL.

So the password is not in dapr.yaml, nor in an argument, nor in the environment that daprd shares.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from urllib.parse import quote


def main() -> None:
    """Arguments: the password file, the module, and its arguments. All drivers and every env.py read DATABASE_URL."""
    _, file, module, *arguments = sys.argv
    user, at, place = os.environ["DATABASE_URL"].partition("@")
    # All reserved characters are encoded, spaces too: some drivers require it.
    os.environ["DATABASE_URL"] = f"{user}:{quote(Path(file).read_bytes(), safe='')}{at}{place}"
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
