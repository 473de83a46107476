"""Keeps what is ours from the other users of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
# What we put into a state directory. It may be a folder of the user's that holds other things too, like /srv.
OURS = (
    *("postgres", "redis", "placement", "scheduler", "fleet", "audit", "audit-until-*"),
    *("dapr-run.*", "lock", "set-up.lock"),
)


def from_now_on() -> None:
    """For a whole process, and for whatever it starts."""
    os.umask(UMASK)


def make_folder(folder: Path) -> None:
    """One that exists is left as it is: see `tighten`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def create(file: Path) -> BinaryIO:
    """A new file in place of an earlier one: whoever has that one open, or linked, reads nothing of this one."""
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # readable by its owner alone
    Path(name).replace(file)
    return os.fdopen(number, "wb")


def open_lock(file: Path) -> BinaryIO:
    """The same file for everybody who takes the lock."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb")


def write(file: Path, text: str) -> Path:
    with create(file) as handle:
        handle.write(text.encode())
    return file


def tighten_state(state: Path, whole: bool) -> None:
    """What an earlier start left open; `whole` when the directory itself is ours and not only what we put there."""
    make_folder(state)
    found = [each for name in OURS for each in state.glob(name)]
    if whole or len(found) == len(list(state.iterdir())):
        _close(state)
    for each in found:
        tighten(each)


def keep_dapr_folder(home: Path) -> None:
    """Where Dapr's CLI puts logs, and daprd the names, of applications that run in `home`."""
    make_folder(home / ".dapr")
    tighten(home / ".dapr")


def tighten(path: Path) -> None:
    """It and all in it; what a running server deletes meanwhile, and what belongs to others, is passed over."""
    _close(path)
    if path.is_dir() and not path.is_symlink():
        for each in _below(path):
            _close(each)


def _below(folder: Path) -> Iterator[Path]:
    # Top down: a folder is closed before what is in it is looked at. Symbolic links are not followed.
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _close(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        found = path.lstat()
        if not path.is_symlink() and found.st_mode & UMASK:
            path.chmod(found.st_mode & 0o7700)
