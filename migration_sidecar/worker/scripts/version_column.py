"""Tells from a revision file's text whether it may make the column of the version table wider."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migration_sidecar.worker.scripts.source_tree import SourceTree

_KNOWN_MODULES = {"alembic", "sqlalchemy", "__future__", *getattr(sys, "stdlib_module_names", ("typing", "datetime"))}
_RUNS_OTHER_TEXT = {"open", "read_text", "read_bytes", "exec", "eval", "import_module", "__import__"}


def may_widen_version_column(source: bytes, tree: SourceTree | None) -> bool:
    """Whether the file names the column of the version table, or runs code or SQL that is in another file."""
    if b"version_num" in source or tree is None:  # None: a compiled file
        return True
    return any(_is_imported_from_elsewhere(node) or _runs_other_text(node) for node in tree.nodes)


def _is_imported_from_elsewhere(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or (node.module or "").partition(".")[0] not in _KNOWN_MODULES
    return isinstance(node, ast.Import) and any(
        each.name.partition(".")[0] not in _KNOWN_MODULES for each in node.names
    )


def _runs_other_text(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", None)) in _RUNS_OTHER_TEXT
