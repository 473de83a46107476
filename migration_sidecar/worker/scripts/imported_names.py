"""Tells which names in a revision file come from modules that are not read."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_OWN = {"alembic", "sqlalchemy"}
# Of the standard library: what hides no SQL from a reader of the file.
_STANDARD = {
    *(
        "__future__",
        "collections",
        "contextlib",
        "copy",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "functools",
    ),
    *("hashlib", "io", "itertools", "json", "logging", "math", "operator", "os", "pathlib", "random", "re", "secrets"),
    *("string", "sys", "textwrap", "time", "typing", "typing_extensions", "uuid", "warnings", "zoneinfo", "base64"),
    *("ipaddress", "unicodedata", "types", "inspect", "traceback", "struct", "binascii", "numbers", "fractions"),
}


def imported_names(nodes: list[ast.AST]) -> tuple[set[str], set[str]]:
    """The names from modules that are not read, with what is assigned from them; and those of Alembic or SQLAlchemy."""
    foreign: set[str] = set()
    own: set[str] = set()
    for node in nodes:
        for name, package in _imports(node):
            if package in _OWN:
                own.add(name)
            elif package not in _STANDARD:
                foreign.add(name)
    assigned = [(names(value), value, names(target)) for value, target in assignments(nodes)]
    assigned = [each for each in assigned if not (isinstance(each[1], ast.Call) and root(each[1]) in own)]
    while more := {name for used, _, stored in assigned if used & foreign for name in stored} - foreign - own:
        foreign |= more
    return foreign, own


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Each imported name as it is used here, with its package."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            package = alias.name.partition(".")[0]
            yield alias.asname or package, package
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, "" if node.level else (node.module or "").partition(".")[0]


def assignments(nodes: list[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each value with what it is assigned to, also by a loop."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((node.value, target) for target in node.targets)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            yield node.value, node.target
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            yield node.iter, node.target


def names(node: ast.AST) -> set[str]:
    """Every name that is used in the node."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def root(node: ast.AST | None) -> str:
    """The first name of an expression such as `a.b(c)[d]`; empty if it begins with none."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
