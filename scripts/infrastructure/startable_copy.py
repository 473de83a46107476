"""A copy of a server's program where another user may start it, who cannot enter a checkout of root's."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Root's own, and of a machine; a copy is made again when it is gone.
COPIES = Path("/var/cache/rmbrain/programs")
ENTER, START = stat.S_IXOTH, stat.S_IROTH | stat.S_IXOTH


def is_startable(program: Path) -> bool:
    """Whether every user may start it: he needs the right to enter each folder above it."""
    path = program.resolve()
    return _has(path, START) and all(_has(folder, ENTER) for folder in path.parents)


def startable(program: Path, trees: Sequence[Path], copies: Path) -> Path:
    """The program itself where every user may start it, else its place in a copy. Copies nothing."""
    if is_startable(program):
        return program
    return copies / _name(program) / program.resolve().relative_to(trees[0].resolve().parent)


def copy_for_others(program: Path, trees: Sequence[Path], copies: Path) -> None:
    """Makes that copy if it is missing. `trees` are the folders that the program needs, side by side.

    Raises OSError.
    """
    target = startable(program, trees, copies)
    if target == program or target.exists():
        return
    copies.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in (copies, copies.parent):
        folder.chmod(0o755)  # whatever the umask is
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=copies))
    for tree in trees:
        shutil.copytree(tree, unfinished / tree.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        unfinished.rename(copies / _name(program))
    except OSError:  # another process was first
        shutil.rmtree(unfinished)
        if not target.exists():
            raise


def _name(program: Path) -> str:
    """Another one for another program, also for a newer one in the same place."""
    status = program.stat()
    facts = (str(program.resolve()), status.st_size, status.st_mtime_ns)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _has(path: Path, right: int) -> bool:
    try:
        return path.stat().st_mode & right == right
    except OSError:
        return False
