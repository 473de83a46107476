"""Reads revision files: which there are, what they need, and what kind of change each one makes."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import TYPE_CHECKING, Any

from alembic.util import CommandError

from migration_sidecar.child.refusal import Refusal

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory

_DESTRUCTIVE_CALLS = {"drop_table", "drop_column", "drop_table_comment", "bulk_delete"}
_DESTRUCTIVE_SQL = re.compile(r"\b(drop\s+(table|column|schema|database)|truncate|delete\s+from)\b", re.IGNORECASE)


def load_history(config: Config, report: Callable[..., None]) -> dict[str, Any]:
    """Heads and every revision of the environment; raises Refusal with file and line of a broken one."""
    from alembic.script import ScriptDirectory

    try:
        directory = ScriptDirectory.from_config(config)
        # Told before any file is run: whoever waits for a file that never ends can still see it change.
        report("folders", folders=[str(folder) for folder in _folders(directory)])
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*present more than once")
            scripts = list(directory.walk_revisions())
            heads = sorted(directory.get_heads())
    except CommandError as error:
        raise _unreadable(config, str(error)) from None
    except UserWarning as warning:
        raise _unreadable(config, f"{warning}.") from None
    except SyntaxError as error:
        where = f"{Path(error.filename or '').name}:{error.lineno}"
        raise _broken(where, f"it is not valid Python ({error.msg})") from None
    except BaseException as error:  # a file may raise SystemExit
        if isinstance(error, KeyError) and _raised_by_alembic(error):
            raise _missing(error) from None
        raise _broken(_line_of(error), f"it raised {type(error).__name__} when it was loaded") from None
    return {
        "heads": heads,
        "revisions": [describe(script) for script in scripts],
    }


def describe(script: Script) -> dict[str, Any]:
    """What a plan says about one revision; read from the file's text, nothing is executed."""
    path = Path(script.path)
    source = path.read_bytes()
    tree = ast.parse(source)
    upgrade, downgrade = _function(tree, "upgrade"), _function(tree, "downgrade")
    return {
        "id": script.revision,
        "message": (script.doc or "").strip(),
        "sha256": sha256(source).hexdigest(),
        "path": str(path),
        "down": list(script._versioned_down_revisions),
        "depends_on": list(script._resolved_dependencies),
        "transactional": _transactional(tree),
        "reversible": downgrade is not None and not _does_nothing(downgrade),
        "destructive_upgrade": upgrade is not None and _destructive(upgrade),
        "destructive_downgrade": downgrade is not None and _destructive(downgrade),
    }


@lru_cache(maxsize=512)
def is_transactional(path: Path) -> bool:
    """False when the file opens an autocommit_block, so that PostgreSQL commits in the middle of it."""
    return _transactional(ast.parse(path.read_bytes()))


def _transactional(tree: ast.AST) -> bool:
    return not any(isinstance(node, ast.Attribute) and node.attr == "autocommit_block" for node in ast.walk(tree))


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _does_nothing(function: ast.FunctionDef) -> bool:
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return all(isinstance(node, (ast.Pass, ast.Raise)) for node in body)


def _destructive(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and node.attr in _DESTRUCTIVE_CALLS:
            return True
        if isinstance(node, ast.keyword) and node.arg == "type_":
            return True  # a change of type rewrites the column and can lose data
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DESTRUCTIVE_SQL.search(node.value):
            return True
    return False


def _folders(directory: ScriptDirectory) -> list[Path]:
    return [Path(location).resolve() for location in directory._version_locations]


def _unreadable(config: Config, text: str) -> Refusal:
    if "script_location" in text or "Path doesn't exist" in text:
        return Refusal(
            "CM-303",
            "The migration folder is missing",
            f"{Path(config.config_file_name or 'alembic.ini').name} names a script_location that is not there.",
            "Correct script_location, or put the folder into the image.",
        )
    first_line = text.splitlines()[0].replace(str(Path.cwd()) + "/", "")
    return Refusal(
        "CM-302", "The history does not hold together", first_line, "Correct the revision files and try again."
    )


def _missing(error: KeyError) -> Refusal:
    return Refusal(
        "CM-302",
        "The history does not hold together",
        f"A revision that another one builds on is missing: {error}.",
        "Restore that revision file, or correct down_revision.",
    )


def _broken(where: str, reason: str) -> Refusal:
    return Refusal(
        "CM-304",
        "A revision file cannot be loaded",
        f"{where}: {reason}; no database was touched.",
        "Correct that file and try again.",
    )


def _line_of(error: BaseException) -> str:
    place = _place(error)
    return f"{Path(place.filename).name}:{place.lineno}" if place else "a revision file"


def _raised_by_alembic(error: BaseException) -> bool:
    import alembic

    place = _place(error)
    return place is not None and Path(place.filename).is_relative_to(Path(alembic.__file__).parent)


def _place(error: BaseException) -> FrameSummary | None:
    return next(reversed(extract_tb(error.__traceback__)), None)
