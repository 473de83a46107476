"""Where a migration failed: file and line, and the statement without what it holds of somebody's data."""

from __future__ import annotations

import re
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from migration_sidecar.worker.known_passwords import hide_known

if TYPE_CHECKING:
    from types import FrameType

LONGEST_STATEMENT = 200
_LONGEST_READ = 4000  # of a statement; the literals of a large one would take long to find
_PARTS = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z)                          # comments
    | "(?:[^"]|"")*(?:"|\Z)                                  # a quoted name
    | [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z)
    | \$([A-Za-z_]\w*|)\$.*?(?:\$\1\$|\Z)
    | (?<![\w$%:.])\d[\w.]*                                  # a number, and not $1 or a part of a name""",
    re.DOTALL | re.VERBOSE,
)


def failing_place(error: BaseException, revision: str | None) -> str | None:
    """File and line in the revision file, or else in env.py; None if the error came from neither."""
    frames = list(walk_tb(error.__traceback__))
    for belongs in (lambda frame: _is_of_revision(frame, revision), _is_env_file):
        for frame, line in reversed(frames):
            if belongs(frame):
                return f"{Path(frame.f_code.co_filename).name}:{line}"
    return None


def failing_statement(error: BaseException) -> str | None:
    """The statement that failed, in one line and cut, each literal replaced; None if SQLAlchemy did not send it."""
    inner: Any = error
    while inner is not None and not isinstance(getattr(inner, "statement", None), str):
        inner = inner.__cause__
    masked = mask_statement(hide_known(inner.statement)) if inner is not None else ""
    # Of a DO block nothing is left to tell: all of it is one literal.
    return masked if masked and not masked.upper().startswith("DO ") else None


def mask_statement(statement: str) -> str:
    """The statement in one line, cut, without comments and with each literal as `…`."""
    masked = " ".join(_PARTS.sub(_masked, statement[:_LONGEST_READ]).split())
    return masked if len(masked) <= LONGEST_STATEMENT else f"{masked[:LONGEST_STATEMENT]}…"


def _masked(match: re.Match[str]) -> str:
    if match[0].startswith(("--", "/*")):
        return " "
    return match[0] if match[0].startswith('"') else "…"


def _is_of_revision(frame: FrameType, revision: str | None) -> bool:
    # Alembic loads each file as a module, in which these names are required.
    names = frame.f_globals
    return revision is not None and names.get("revision") == revision and "down_revision" in names


def _is_env_file(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "env_py"
