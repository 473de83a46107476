"""Ignores .pyc files that may be stale: Python compares only the source's size and its time in whole seconds."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from types import CodeType

INSTALLED = "-packages" + os.sep  # installers replace these files together with their .pyc
_get_code = SourceFileLoader.get_code


def ignore_stale_bytecode() -> None:
    """From now on Python uses a .pyc only if it was written after its source last changed. For this process alone."""
    SourceFileLoader.get_code = _fresh_code  # type: ignore[method-assign, assignment]


def _fresh_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
    if INSTALLED not in self.path and _is_stale(self.path):
        return self.source_to_code(self.get_data(self.path), self.path)
    return _get_code(self, fullname)


def _is_stale(source: str) -> bool:
    try:
        compiled = cache_from_source(source)
        stale = os.stat(compiled).st_mtime_ns <= os.stat(source).st_ctime_ns  # noqa: PTH116
    except (OSError, NotImplementedError):
        return False
    if stale:
        with suppress(OSError):
            os.remove(compiled)  # noqa: PTH107 - the next import writes it again
    return stale
