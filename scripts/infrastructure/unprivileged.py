"""PostgreSQL refuses to run as root; these prefixes run a command as root's files, but not as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError

# Maps root to an ordinary user inside a namespace: nothing is chowned, and any folder root can read will do.
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# Where namespaces are forbidden (many containers): another user, but one that may still enter root's folders.
NOBODY = 65534
OTHER_USER = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


def unprivileged(command: Sequence[str]) -> list[str]:
    """The command as it is, unless we are root."""
    return [*_prefix(), *command] if os.geteuid() == 0 else list(command)


def own(directory: Path) -> None:
    """Makes the directory belong to whoever `unprivileged` runs as."""
    if os.geteuid() == 0 and _prefix() == OTHER_USER:
        os.chown(directory, NOBODY, NOBODY)


@cache
def _prefix() -> tuple[str, ...]:
    for prefix in (NAMESPACE, OTHER_USER):
        if _works(prefix):
            return prefix
    raise InfrastructureError(
        "PostgreSQL does not run as root, and neither user namespaces (unshare) nor setpriv work here. "
        "Run this as an ordinary user, or name a server: export POSTGRES_HOST=..."
    )


def _works(prefix: tuple[str, ...]) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
