"""Whether Dapr's programs in the user's cache are still those that set-up put there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

RECORD = "contents.json"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def exposed(folder: Path) -> Path | None:
    """The first folder on the way to this one whose content another user could exchange; None if there is none."""
    for each in [folder, *folder.parents]:
        status = each.stat()
        sticky = status.st_mode & stat.S_ISVTX  # as /tmp: whoever owns an entry can keep it
        by_own_group = not status.st_mode & stat.S_IWOTH and status.st_gid == os.getgid()
        if status.st_uid not in (os.geteuid(), 0) or (
            status.st_mode & _OTHERS_WRITE and not sticky and not by_own_group
        ):
            return each
    return None


def record(entry: Path, programs: Sequence[Path], unpinned: Sequence[str]) -> None:
    """Writes what the entry holds."""
    hashes = {str(program.relative_to(entry)): _hash(program) for program in programs}
    content = {"sha256": hashes, "not_pinned": list(unpinned)}
    (entry / RECORD).write_text(json.dumps(content, indent=1))
    (entry / RECORD).chmod(0o644)


def objection(entry: Path, programs: Sequence[Path], only_pinned: bool) -> str | None:
    """Why this entry of the cache must not be used; None if it may be."""
    for each in [entry, *entry.rglob("*")]:
        status = each.lstat()
        if each.is_symlink():
            return f"{each} is a link"
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & _OTHERS_WRITE:
            return f"{each} belongs to another user, or others may write to it"
    try:
        content = json.loads((entry / RECORD).read_text())
        hashes, unpinned = dict(content["sha256"]), list(content["not_pinned"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{entry / RECORD} cannot be read"
    for program in programs:
        if not program.is_file() or hashes.get(str(program.relative_to(entry))) != _hash(program):
            return f"{program} is not what set-up put there"
    if only_pinned and unpinned:
        return f"DAPR_ONLY_PINNED is set, and no pin confirms {', '.join(unpinned)}"
    return None


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
