"""Detects an env.py that needs `config.attributes['connection']` from an application. `alembic` cannot run it."""

from __future__ import annotations

import re
from pathlib import Path
from traceback import extract_tb

from migration_sidecar.protocol.reports import ProblemFacts
from migration_sidecar.worker.refusal import Refusal

_TAKEN = re.compile(r"""\.attributes(?:\.get\(|\[)\s*["'](\w+)["']""")
_NO_CONNECTION = "Connection, url, or dialect_name is required."  # Alembic's message for context.configure(None)


def missing_connection(error: BaseException) -> ProblemFacts | None:
    """The problem to report if the error has this cause, otherwise None."""
    for frame in extract_tb(error.__traceback__):
        if Path(frame.filename).name == "env.py" and Path(frame.filename).is_file():
            taken = _TAKEN.findall(Path(frame.filename).read_text(encoding="utf-8", errors="replace"))
            if isinstance(error, KeyError) and error.args[0] in taken:
                return _missing(error.args[0])
            if taken and str(error) == _NO_CONNECTION:
                return _missing(taken[0])
    return None


def _missing(name: str) -> ProblemFacts:
    return Refusal(
        "CM-701",
        f'env.py takes its connection from config.attributes["{name}"], which is filled in only by a program that runs '
        "Alembic itself.",
        "Let env.py connect by itself where it is not given one, as Alembic's own templates do.",
    ).facts
