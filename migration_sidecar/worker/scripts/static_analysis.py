"""Describes a revision by the text of its file. Nothing is executed, so all results are hints and no proof."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from migration_sidecar.protocol.journal_schema import JOURNAL_SCHEMA
from migration_sidecar.protocol.results import ChangeFacts
from migration_sidecar.worker.scripts.version_column import may_widen_version_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migration_sidecar.worker.scripts.source_tree import SourceTree

_DESTRUCTIVE_CALLS = {"drop_table", "drop_column", "drop_table_comment", "bulk_delete"}
_DESTRUCTIVE_SQL = re.compile(r"\b(drop\s+(table|column|schema|database)|truncate|delete\s+from)\b", re.IGNORECASE)
_CONCURRENTLY = re.compile(r"\b((create(\s+unique)?|drop)\s+index|reindex\s+\w+)\s+concurrently\b", re.IGNORECASE)
_ENDS_TRANSACTION = re.compile(r"^\s*(commit|end|rollback)\b|autocommit", re.IGNORECASE)
_DROPS_JOURNAL = re.compile(rf"\bdrop\s+(table|schema)\b[^;]*\b{JOURNAL_SCHEMA}\b", re.IGNORECASE)
_SQL_NOISE = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'", re.DOTALL)
_RUNS_SQL = {"execute", "exec_driver_sql", "text", "DDL"}
# Code that manages connections or transactions itself is not judged.
_MANAGES_CONNECTION = {"commit", "rollback", "connect", "create_engine", "execution_options", "raw_connection", "begin"}
_OFFLINE = {"is_offline_mode", "as_sql"}
_KNOWS_MODE = _OFFLINE | {"in_transaction", "autocommit_block", "isolation_level", "get_isolation_level"}


def analyse_revision(source: bytes, tree: SourceTree | None) -> ChangeFacts:
    """The facts about a revision's change. Of a compiled file, which has no tree, almost nothing can be read."""
    upgrade, downgrade = _function(tree, "upgrade"), _function(tree, "downgrade")
    return {
        "transactional": stays_in_transaction(source),
        "may_widen_version": may_widen_version_column(source, tree),
        "reversible": downgrade is None or not _does_nothing(downgrade) or _is_empty(upgrade, downgrade),
        "destructive_upgrade": _destructive(tree, upgrade),
        "destructive_downgrade": _destructive(tree, downgrade),
        "findings": [
            {"kind": kind, "action": function.name, "line": line}
            for function in (upgrade, downgrade)
            if tree is not None and function is not None
            for kind, line in _findings(tree, function)
        ],
    }


def line_of(path: str, name: str) -> int:
    """The line where the module assigns the name, or 1."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 1
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.lineno
    return 1


def stays_in_transaction(source: bytes) -> bool:
    """False if the file opens an autocommit_block, so that PostgreSQL commits in the middle of it."""
    if b"autocommit_block" not in source:  # this also works for compiled files, and most files need not be parsed
        return True
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return not any(isinstance(node, ast.Attribute) and node.attr == "autocommit_block" for node in ast.walk(tree))


def _findings(tree: SourceTree, function: ast.FunctionDef) -> Iterator[tuple[str, int]]:
    line = _concurrently(tree, function)
    if line:
        yield "concurrently", line
    line = _offline_only(function)
    if line:
        yield "offline_only", line
    line = _drops_journal(tree, function)
    if line:
        yield "drops_journal", line
    line = _enters_block(tree, function)
    if line:
        yield "autocommit_block", line
    body = _effective(function)
    if body and isinstance(body[0], ast.Raise) and function.name == "downgrade":
        yield "raises", body[0].lineno


def _function(tree: SourceTree | None, name: str) -> ast.FunctionDef | None:
    body = tree.module.body if tree is not None else []
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _effective(function: ast.FunctionDef) -> list[ast.stmt]:
    return [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]


def _does_nothing(function: ast.FunctionDef) -> bool:
    return all(isinstance(node, (ast.Pass, ast.Raise)) for node in _effective(function))


def _is_empty(upgrade: ast.FunctionDef | None, downgrade: ast.FunctionDef) -> bool:
    """Whether both do nothing, as in a merge revision."""
    both = (upgrade, downgrade)
    return all(f is not None and all(isinstance(node, ast.Pass) for node in _effective(f)) for f in both)


def _destructive(tree: SourceTree | None, function: ast.FunctionDef | None) -> bool:
    for node in tree.walk(function) if tree is not None and function is not None else ():
        if isinstance(node, ast.Attribute) and node.attr in _DESTRUCTIVE_CALLS:
            return True
        if isinstance(node, ast.keyword) and node.arg == "type_":
            return True  # a change of type rewrites the column and can lose data
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DESTRUCTIVE_SQL.search(node.value):
            return True
    return False


def _concurrently(tree: SourceTree, function: ast.FunctionDef) -> int | None:
    for statement in _plain(tree, function.body):
        nodes = tree.walk(statement)
        if _manages_connection(statement, nodes):
            return None
        for call in _calls(nodes):
            if _is_concurrent(tree, call):
                return call.lineno
    return None


def _enters_block(tree: SourceTree, function: ast.FunctionDef) -> int | None:
    """The line of the first autocommit_block, unless the revision ends its transaction by itself before."""
    for statement in function.body:
        nodes = tree.walk(statement)
        if _manages_connection(statement, nodes):
            return None
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr == "autocommit_block":
                return node.lineno
    return None


def _plain(tree: SourceTree, body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run in the revision's own transaction, in the order of the text."""
    for statement in body:
        if isinstance(statement, ast.If) and not _names(tree.walk(statement.test)) & _KNOWS_MODE:
            yield from _plain(tree, statement.body + statement.orelse)
        elif isinstance(statement, ast.For):
            yield from _plain(tree, statement.body)
        elif not isinstance(statement, (ast.With, ast.If, ast.FunctionDef)):
            yield statement


def _manages_connection(statement: ast.stmt, nodes: Sequence[ast.AST]) -> bool:
    return (
        isinstance(statement, (ast.Try, ast.Return, ast.Raise))
        or bool(_names(nodes) & _MANAGES_CONNECTION)
        or any(_ENDS_TRANSACTION.search(text) for text in _texts(nodes))
    )


def _is_concurrent(tree: SourceTree, call: ast.Call) -> bool:
    for each in call.keywords:
        if each.arg == "postgresql_concurrently" and getattr(each.value, "value", None) is True:
            return True
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    return name in _RUNS_SQL and any(
        _CONCURRENTLY.search(_SQL_NOISE.sub(" ", text)) for text in _texts(tree.walk(call))
    )


def _drops_journal(tree: SourceTree, function: ast.FunctionDef) -> int | None:
    """The line that drops something in the journal's own schema, as autogenerate writes it."""
    for call in _calls(tree.walk(function)):
        name = str(getattr(call.func, "attr", getattr(call.func, "id", "")))
        in_schema = any(
            each.arg == "schema" and getattr(each.value, "value", None) == JOURNAL_SCHEMA for each in call.keywords
        )
        if name.startswith("drop_") and in_schema:
            return call.lineno
        if name in _RUNS_SQL and any(
            _DROPS_JOURNAL.search(_SQL_NOISE.sub(" ", text)) for text in _texts(tree.walk(call))
        ):
            return call.lineno
    return None


def _offline_only(function: ast.FunctionDef) -> int | None:
    """The line of `if not context.is_offline_mode(): raise`, or of an assert that says the same."""
    for node in function.body:
        if isinstance(node, ast.Assert) and _asks_offline(node.test):
            return node.lineno
        if not isinstance(node, ast.If):
            continue
        refusing = node.orelse
        if (
            isinstance(node.test, ast.UnaryOp)
            and isinstance(node.test.op, ast.Not)
            and _asks_offline(node.test.operand)
        ):
            refusing = node.body
        elif not _asks_offline(node.test):
            continue
        if refusing and isinstance(refusing[0], ast.Raise):
            return node.lineno
    return None


def _asks_offline(test: ast.expr) -> bool:
    asked = test.func if isinstance(test, ast.Call) else test
    return getattr(asked, "attr", getattr(asked, "id", None)) in _OFFLINE


def _calls(nodes: Sequence[ast.AST]) -> Iterator[ast.Call]:
    return (each for each in nodes if isinstance(each, ast.Call))


def _texts(nodes: Sequence[ast.AST]) -> Iterator[str]:
    return (each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _names(nodes: Sequence[ast.AST]) -> set[str]:
    named = {each.attr for each in nodes if isinstance(each, ast.Attribute)}
    return named | {each.id for each in nodes if isinstance(each, ast.Name)}
