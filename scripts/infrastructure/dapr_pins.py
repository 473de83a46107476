"""Adds to scripts/dapr/archives.sha256 the SHA-256 of each archive of Dapr that is not pinned yet.

`.venv/bin/python -m scripts.infrastructure.dapr_pins`

It takes the hashes that the releases publish at this moment. Compare them with another source before you commit them.
"""

from __future__ import annotations

import sys

from scripts.infrastructure.dapr_sources import BINARIES, PINS, pins, published_hash

MACHINES = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")


def missing() -> list[str]:
    """The names of the archives that Dapr publishes for our platforms and that have no pin."""
    known = pins(PINS)
    return [name for binary in BINARIES for each in MACHINES if (name := binary.archive(each)) not in known]


def main() -> int:
    """Returns the exit code."""
    try:
        rows = [f"{published_hash(archive)}  {archive}" for archive in missing()]
    except OSError as error:
        print(f"A release of Dapr cannot be read: {error}. Nothing was pinned.", file=sys.stderr)
        return 3
    with PINS.open("a") as file:
        file.writelines(f"{row}\n" for row in rows)
    print("\n".join(rows) or "Every archive is pinned.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
