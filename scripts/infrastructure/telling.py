"""Says what happens, for whoever still reads."""

from __future__ import annotations

import os
import sys


def tell(sentence: str) -> None:
    """After `| head` has read enough, or the terminal was closed, what was begun is finished all the same."""
    try:
        print(sentence, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
