"""Detects changed files without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Stamps: TypeAlias = tuple[tuple[str, int, int, int, int], ...]


def stamps_of(files: Iterable[Path]) -> Stamps:
    """Times, size and inode of each file. All are needed: a new file may have the same size and the same second."""
    return tuple(sorted((str(file), *_stamp(file)) for file in files))


def _stamp(file: Path) -> tuple[int, int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
