"""Prints what happens; a closed pipe is no error."""

from __future__ import annotations

import os
import sys


def tell(sentence: str) -> None:
    """Prints a sentence. Where nobody reads any more, such as after `| head`, later output is discarded."""
    try:
        print(sentence, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
