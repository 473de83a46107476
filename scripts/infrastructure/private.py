"""Protects our files from other users of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
# Our entries in a state directory, which may be a folder with other content too, such as /srv.
OWN_ENTRIES = (
    *("postgres", "redis", "placement", "scheduler", "fleet", "audit", "audit-until-*", "keys", "tokens", "passwords"),
    *("dapr-run.*", "lock", "set-up.lock"),
)


def restrict_umask() -> None:
    """Sets the umask of this process and of all processes that it starts."""
    os.umask(UMASK)


def make_folder(folder: Path) -> None:
    """Does not change a folder that exists: see `tighten`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def create(file: Path) -> BinaryIO:
    """A new file that replaces an older one. A program that has the old file open or linked cannot read the new one."""
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # only its owner can read it
    Path(name).replace(file)
    return os.fdopen(number, "wb")


def open_lock(file: Path) -> BinaryIO:
    """Opens the lock file, always the same one, so that all processes lock the same file."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb")


def write(file: Path, text: str) -> Path:
    """Writes a private text file, and returns its path."""
    with create(file) as handle:
        handle.write(text.encode())
    return file


def tighten_state(state: Path, whole: bool) -> None:
    """Makes our entries in the state directory private. `whole`: the directory itself is ours too."""
    make_folder(state)
    entries = [each for name in OWN_ENTRIES for each in state.glob(name)]
    if whole or len(entries) == len(list(state.iterdir())):
        _make_private(state)
    for each in entries:
        tighten(each)


def keep_dapr_folder(home: Path) -> None:
    """Makes the folder private in which Dapr stores logs and names of the applications that run in `home`."""
    make_folder(home / ".dapr")
    tighten(home / ".dapr")


def tighten(path: Path) -> None:
    """Makes a path and all below it private. Skips files that disappear meanwhile or belong to other users."""
    _make_private(path)
    if path.is_dir() and not path.is_symlink():
        for each in _below(path):
            _make_private(each)


def _below(folder: Path) -> Iterator[Path]:
    # Top down: a folder becomes private before its content is listed. Symbolic links are not followed.
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _make_private(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        status = path.lstat()
        if not path.is_symlink() and status.st_mode & UMASK:
            path.chmod(status.st_mode & 0o7700)
