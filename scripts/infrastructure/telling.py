"""print() that survives a closed output."""

from __future__ import annotations

import os
import sys


def say(sentence: str) -> None:
    """After `| head` or a closed terminal, further output is discarded, and the program continues."""
    try:
        print(sentence, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
