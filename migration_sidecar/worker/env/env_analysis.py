"""Decides by its text whether an env.py only connects. Such a file may run before the worker has its orders.

It may read attributes of imported modules, because the probe of env.py has read them before.
"""

from __future__ import annotations

import ast
from pathlib import Path

from migration_sidecar.worker.scripts.imported_names import assignments, names

# Packages that an env.py may import. They were imported already when env.py was probed.
_KNOWN = {"alembic", "sqlalchemy", "logging", "asyncio", "os", "migration_sidecar"}
_ENGINES = {"engine_from_config", "async_engine_from_config", "create_engine", "create_async_engine"}
_CALLS = {
    *("getLogger", "fileConfig", "get_section", "get_main_option", "set_main_option", "set_section_option"),
    *("get", "getenv", "replace", "str", "dict", "render_as_string", "MetaData"),
    *("connect", "configure", "begin_transaction", "run_migrations", "is_offline_mode"),
    *("run", "run_sync", "dispose"),
    *_ENGINES,
}
_OF_OS = {"environ", "getenv"}  # os.replace is not str.replace
_ESCAPED = [ast.dump(ast.Constant(text)) for text in ("%", "%%")]


def has_no_side_effects(env_file: Path) -> bool:
    """Whether every call in env.py is one of _CALLS, as in the file of `alembic init`. False if it cannot be read."""
    try:
        return _calls_nothing_else(ast.parse(env_file.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return False


def _calls_nothing_else(tree: ast.Module) -> bool:
    nodes = list(ast.walk(tree))
    foreign = _foreign(nodes)
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    if "*" in foreign or any(_calls_unseen(node) for node in nodes) or _renamed(nodes) & (_CALLS | own):
        return False
    return all(_is_harmless(node, foreign, own) for node in nodes if isinstance(node, ast.Call))


def _is_harmless(call: ast.Call, foreign: set[str], own: set[str]) -> bool:
    path = _path(call.func)
    if path[-1] == "replace" and [ast.dump(each) for each in call.args] == _ESCAPED:
        return path[0] != "os"
    if path[0] in foreign or path[-1] not in _CALLS | own or (path[0] == "os" and path[1] not in _OF_OS):
        return False
    # These functions call their arguments.
    callables = [keyword.value for keyword in call.keywords] if path[-1] in _ENGINES else []
    callables += call.args if path[-1] in {"run", "run_sync"} else []
    return path == ["run"] or not any(_path(each)[0] in foreign for each in callables)


def _calls_unseen(node: ast.AST) -> bool:
    """Whether the node calls something without a call expression: a decorator, a base class, `await`, `with`."""
    if isinstance(node, (ast.Await, ast.withitem)):
        waited = node.value if isinstance(node, ast.Await) else node.context_expr
        return not isinstance(waited, ast.Call)
    return isinstance(node, ast.ClassDef) or bool(getattr(node, "decorator_list", None))


def _renamed(nodes: list[ast.AST]) -> set[str]:
    """Names that are assigned, so that they may mean another thing than the import or function of that name."""
    stored = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    aliases = [alias for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
    return {
        *(_path(node)[-1] for node in stored if isinstance(node, ast.expr)),
        *(node.arg for node in nodes if isinstance(node, ast.arg)),
        *(alias.asname for alias in aliases if alias.asname and alias.asname != alias.name),
    }


def _foreign(nodes: list[ast.AST]) -> set[str]:
    """Names that are imported from unknown packages, and names that are assigned from those."""
    imported = [pair for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for pair in _imports(node)]
    foreign = {name for name, package in imported if package not in _KNOWN}
    assigned = [(_path(value)[0], names(target)) for value, target in assignments(nodes)]
    while more := {name for source, stored in assigned if source in foreign | {"os"} for name in stored} - foreign:
        foreign |= more
    return foreign


def _imports(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """Each imported name as it is used here, with its package."""
    if isinstance(node, ast.Import):
        whole = [(alias.asname or alias.name.partition(".")[0], alias.name.partition(".")[0]) for alias in node.names]
        return [(name, "" if package == "os" != name else package) for name, package in whole]
    package = "" if node.level else (node.module or "").partition(".")[0]
    known = {alias.name: package for alias in node.names if package != "os" or alias.name in _OF_OS}
    return [(alias.asname or alias.name, known.get(alias.name, "")) for alias in node.names]


def _path(function: ast.expr) -> list[str]:
    """The name that is called, such as `["os", "environ", "get"]`. The first part is empty if it is no plain name."""
    if isinstance(function, ast.Name):
        return [function.id]
    if isinstance(function, ast.Attribute):
        return [*_path(function.value), function.attr]
    return [""]
