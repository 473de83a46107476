"""Reads in the text of env.py which version table it gives to context.configure, where a preview did not get there."""

from __future__ import annotations

import ast
from contextlib import suppress
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

_OPTIONS = ("version_table", "version_table_schema")


def written_version_table(env_file: Path, ended_at: TracebackType | None) -> tuple[str, str]:
    """Name and schema as the first call of `configure` has them; empty where it names none, or not by a plain name.

    Names are looked up as env.py had them when it `ended_at` an error. Nothing is called for it.
    """
    with suppress(OSError, SyntaxError, ValueError):
        tree = ast.parse(env_file.read_bytes())
        written = {
            each.arg: each.value
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "configure"
            for each in reversed(call.keywords)
        }
        known = _globals(env_file, ended_at)
        name, schema = (_value(written[option], known) if option in written else None for option in _OPTIONS)
        return (name if isinstance(name, str) else "", schema if isinstance(schema, str) else "")
    return "", ""


def _globals(env_file: Path, ended_at: TracebackType | None) -> dict[str, Any]:
    for frame, _ in walk_tb(ended_at):
        if Path(frame.f_code.co_filename).resolve() == env_file.resolve():
            return frame.f_globals
    return {}


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        with suppress(Exception):  # a property may raise anything
            return getattr(_value(node.value, known), node.attr)
    return None
