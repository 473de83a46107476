"""Tells an env.py that only connects, which may be run before there are orders, from one that may do anything."""

from __future__ import annotations

import ast
from pathlib import Path

from migration_sidecar.env_file import MARK

# What they import was imported already when they were looked at; nothing else they can call says or writes anything.
_KNOWN = {"alembic", "sqlalchemy", "logging", "asyncio", "os"}
_CALLS = {
    *("getLogger", "fileConfig", "get_section", "get_main_option", "set_main_option", "set_section_option"),
    *("get", "getenv", "replace", "str", "dict", "render_as_string"),
    *("engine_from_config", "async_engine_from_config", "create_engine", "create_async_engine"),
    *("connect", "configure", "begin_transaction", "run_migrations", "is_offline_mode"),
    *("run", "run_sync", "dispose"),
}
_OF_OS = {"environ", "getenv"}  # os.replace is something else than a string's


def only_connects(env_file: Path) -> bool:
    """Ours, and one as `alembic init` leaves it, wherever it takes its URL from: every call in it is of these names."""
    try:
        text = env_file.read_text(encoding="utf-8")
        return MARK in text or _calls_nothing_else(ast.parse(text))
    except (OSError, SyntaxError, ValueError):
        return False


def _calls_nothing_else(tree: ast.Module) -> bool:
    nodes = list(ast.walk(tree))
    imported = [pair for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for pair in _imports(node)]
    foreign = {name for name, package in imported if package not in _KNOWN}
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    calls = [_path(node.func) for node in nodes if isinstance(node, ast.Call)]
    return "*" not in foreign and not _calls_unseen(nodes) and all(_is_harmless(call, foreign, own) for call in calls)


def _is_harmless(call: list[str], foreign: set[str], own: set[str]) -> bool:
    if call[0] in foreign or call[-1] not in _CALLS | own:
        return False
    return call[0] != "os" or call[1] in _OF_OS


def _calls_unseen(nodes: list[ast.AST]) -> bool:
    """What stands after `with` without a call, or decorates a function, is called all the same."""
    return any(
        getattr(node, "decorator_list", None)
        or (isinstance(node, ast.withitem) and not isinstance(node.context_expr, ast.Call))
        for node in nodes
    )


def _imports(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """Each name as it is used here, with the package it is from."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.partition(".")[0], alias.name.partition(".")[0]) for alias in node.names]
    package = "" if node.level else (node.module or "").partition(".")[0]
    known = {alias.name: package for alias in node.names if package != "os" or alias.name in _OF_OS}
    return [(alias.asname or alias.name, known.get(alias.name, "")) for alias in node.names]


def _path(function: ast.expr) -> list[str]:
    """What is called, as `["os", "environ", "get"]`; the first is empty where it is no plain name."""
    if isinstance(function, ast.Name):
        return [function.id]
    if isinstance(function, ast.Attribute):
        return [*_path(function.value), function.attr]
    return [""]
