"""Runs PostgreSQL as an ordinary user, because it refuses to run as root or as a user without a name."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError


def unprivileged(command: Sequence[str]) -> list[str]:
    """The command, with a prefix if PostgreSQL would refuse our user. Raises InfrastructureError."""
    return list(command) if _acceptable() else [*_prefix(), *command]


def own(directory: Path) -> None:
    """Gives the directory to the user that `unprivileged` runs as."""
    if not _acceptable() and _prefix() == _other_user():
        os.chown(directory, _ordinary_user(), _ordinary_user())


def _acceptable() -> bool:
    return os.geteuid() != 0 and any(user.pw_uid == os.geteuid() for user in pwd.getpwall())


def _ordinary_user() -> int:
    """The id of a user that is not root, usually nobody."""
    others = {user.pw_name: user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0}
    return others.get("nobody", next(iter(others.values()), 65534))


def _namespace() -> tuple[str, ...]:
    """A user namespace: the same user under another id. Files keep their owner, and our folders stay readable."""
    return ("unshare", "--user", f"--map-user={_ordinary_user()}", f"--map-group={_ordinary_user()}")


def _other_user() -> tuple[str, ...]:
    """Where namespaces are forbidden, as in many containers: another user, who may still read our folders."""
    identity = (f"--reuid={_ordinary_user()}", f"--regid={_ordinary_user()}", "--clear-groups")
    return ("setpriv", *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")


@cache
def _prefix() -> tuple[str, ...]:
    for prefix in (_namespace(), _other_user()):
        if _works(prefix):
            return prefix
    raise InfrastructureError(
        "PostgreSQL runs neither as root nor as a user without a name, and neither user namespaces (unshare) nor "
        "setpriv work here. Run this as an ordinary user, or name a server: export POSTGRES_HOST=..."
    )


def _works(prefix: tuple[str, ...]) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
