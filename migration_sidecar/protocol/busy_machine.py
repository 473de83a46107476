"""How long a process was ready to run and got no processor, because others had it or a quota was used up."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def seconds_without_processor(pid: int | None = None) -> float:
    """Of the main thread of this process, or of another one; 0 if the kernel does not tell it."""
    with suppress(OSError, ValueError, IndexError):
        # Three numbers: nanoseconds on a processor, nanoseconds of waiting for one, and how often it got one.
        return int(Path(f"/proc/{pid or 'self'}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0
