"""Reads in the revision files which tables the history can have made. Nothing is executed.

A file that may make a table whose name cannot be read in it is `unread`: then nothing may be concluded from names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from migration_sidecar.worker.scripts.imported_names import imported_names, names, root
from migration_sidecar.worker.scripts.sql_names import ANY_SCHEMA, DYNAMIC, Name, cut, names_in

if TYPE_CHECKING:
    from migration_sidecar.protocol.results import MadeTables
    from migration_sidecar.worker.scripts.source_tree import SourceTree

_READS = {
    *("open", "read_text", "read_bytes", "open_text", "get_data", "exec", "eval", "__import__", "import_module"),
    *("system", "popen", "fromfile", "run_path", "run_module"),
}
_MODELS = {"create_all", "CreateTable"}
_RUNS = {"execute", "exec_driver_sql", "text", "DDL", "executescript", "scalar", "scalars", "run_async", "invoke"}
_OPERATIONS = {
    *(
        "add_column",
        "alter_column",
        "batch_alter_table",
        "bulk_insert",
        "create_check_constraint",
        "f",
        "inline_literal",
    ),
    *(
        "create_exclude_constraint",
        "create_foreign_key",
        "create_index",
        "create_primary_key",
        "create_table",
        "execute",
    ),
    *("create_table_comment", "create_unique_constraint", "drop_column", "drop_constraint", "drop_index", "drop_table"),
    *("drop_table_comment", "rename_table", "get_bind", "get_context", "run_async", "context", "impl", "invoke"),
    *("schema_obj", "migration_context", "create_type", "drop_type"),
}
_NOT_TABLES = (
    "create_entity",
    "replace_entity",
    "drop",
    "sync_enum",
    "create_view",
    "create_function",
    "create_trigger",
)


def made_by(trees: Mapping[str, SourceTree | None]) -> MadeTables:
    """What the revisions can have made, by their files. `trees` are these by id, None for a compiled one."""
    made: MadeTables = {"tables": [], "columns": [], "unread": []}
    for revision, tree in trees.items():
        found, is_whole = read_tree(tree)
        made["tables"] += [(each.schema, each.table, revision) for each in found if not each.column]
        made["columns"] += [(*each, revision) for each in found if each.column]
        if not is_whole:
            made["unread"].append(revision)
    return made


def read_tree(tree: SourceTree | None) -> tuple[list[Name], bool]:
    """The names that one file makes, and whether these are all."""
    if tree is None:
        return [], False
    reader = _Reader(tree)
    return sorted(set(reader.names)), reader.is_whole


class _Reader:
    def __init__(self, tree: SourceTree) -> None:
        self.names: list[Name] = []
        self.is_whole = any(isinstance(node, ast.FunctionDef) and node.name == "upgrade" for node in tree.module.body)
        self._tree = tree
        self._nodes = tree.nodes
        self._foreign, self._own = imported_names(self._nodes)
        self._texts = dict(_texts(self._nodes))
        self._makes_models = self._calls_any({"create_all", "create", "CreateTable"})
        self._read()

    def _read(self) -> None:
        if "*" in self._foreign:
            self.is_whole = False
        for text in self._texts.values():
            found = names_in(text)
            self.names += found.made
            self.is_whole = self.is_whole and found.is_whole
        for node in self._nodes:
            if isinstance(node, ast.Call):
                self._read_call(node)
            elif isinstance(node, (ast.With, ast.AsyncWith)):
                self._read_batch(node)
            elif isinstance(node, ast.Assign) and self._makes_models:
                self._read_model(node)
        for function in self._nodes:
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._read_foreign_calls(function)

    def _read_call(self, call: ast.Call) -> None:
        path = _path(call.func)
        name = path[-1]
        if name == "create_table" and path[0] not in self._foreign:
            self._add(_argument(call, 0, "table_name"), _schema(call))
        elif name == "rename_table":
            self._add(_argument(call, 1, "new_table_name"), _schema(call))
        elif name == "add_column" and len(call.args) > 1:
            self._add_column(_argument(call, 0, "table_name"), call.args[1], _schema(call))
        elif name == "Table" and self._makes_models:
            self._add(_argument(call, 0, "name"), _schema(call))
        elif self._may_hide(call, name):
            self.is_whole = False

    def _may_hide(self, call: ast.Call, name: str) -> bool:
        """Whether it may make tables that this file does not name."""
        if name in _MODELS and not self._calls_any({"MetaData", "declarative_base", "registry"}):
            return True  # of models that stand elsewhere
        foreign = name in _RUNS | _MODELS and any(names(each) & self._foreign for each in call.args)
        return foreign or name in _READS or self._is_unknown_operation(call.func)

    @staticmethod
    def _is_unknown_operation(function: ast.expr) -> bool:
        """A plug-in may add operations of its own to `op`."""
        return (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id == "op"
            and function.attr not in _OPERATIONS
            and not function.attr.startswith(_NOT_TABLES)
        )

    def _add(self, name: ast.expr | None, schema: str) -> None:
        if name is None:
            return
        if (text := _constant(name)) is not None:
            self.names.append(Name(schema, cut(text)))
        elif isinstance(name, (ast.Name, ast.Subscript)) and root(name) not in self._foreign:
            # A variable holds one of the file's texts.
            self.names += [Name(schema, cut(text)) for text in self._texts.values() if text and DYNAMIC not in text]
            self.is_whole = self.is_whole and not self._joins_texts()
        else:
            self.is_whole = False

    def _add_column(self, table: ast.expr | None, column: ast.expr, schema: str) -> None:
        name = _constant(table) if table is not None else None
        added = _constant(column.args[0]) if isinstance(column, ast.Call) and column.args else None
        if name and added:
            self.names.append(Name(schema, cut(name), cut(added)))

    def _read_batch(self, block: ast.With | ast.AsyncWith) -> None:
        for item in block.items:
            call = item.context_expr
            if not isinstance(call, ast.Call) or _path(call.func)[-1] != "batch_alter_table":
                continue
            batch, table = root(item.optional_vars), _argument(call, 0, "table_name")
            for each in self._tree.walk(block):
                if isinstance(each, ast.Call) and _path(each.func) == [batch, "add_column"] and each.args:
                    self._add_column(table, each.args[0], _schema(call))

    def _read_model(self, assignment: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "__tablename__" for target in assignment.targets):
            self._add(assignment.value, ANY_SCHEMA)

    def _read_foreign_calls(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """What another module does is not read. In an argument of `op` or `sa` it is a type or a value."""
        todo: list[ast.AST] = [*function.decorator_list, *function.body]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Call):
                path = _path(node.func)
                if path[0] in self._foreign:
                    self.is_whole = False
                if path[0] in self._own or path[-1] in _OPERATIONS:
                    continue
            todo += ast.iter_child_nodes(node)

    def _calls_any(self, names: set[str]) -> bool:
        return any(isinstance(node, ast.Call) and _path(node.func)[-1] in names for node in self._nodes)

    def _joins_texts(self) -> bool:
        joins = (ast.JoinedStr, ast.BinOp)
        return any(isinstance(node, joins) for node in self._nodes) or self._calls_any({"format", "join", "format_map"})


def _texts(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Every text but docstrings, with DYNAMIC where a value is put in."""
    inside: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # a docstring
        elif isinstance(node, ast.JoinedStr):
            inside |= {id(each) for each in node.values}
            parts = [str(each.value) if isinstance(each, ast.Constant) else DYNAMIC for each in node.values]
            yield id(node), "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield id(node), node.value


def _argument(call: ast.Call, place: int, keyword: str) -> ast.expr | None:
    if len(call.args) > place:
        return call.args[place]
    return next((each.value for each in call.keywords if each.arg == keyword), None)


def _schema(call: ast.Call) -> str:
    """Of the keyword `schema`; ANY_SCHEMA if it is no plain text."""
    value = next((each.value for each in call.keywords if each.arg == "schema"), None)
    if value is None:
        return ANY_SCHEMA if any(each.arg is None for each in call.keywords) else ""
    text = _constant(value)
    return (text or "") if text is not None or isinstance(value, ast.Constant) else ANY_SCHEMA


def _constant(node: ast.expr) -> str | None:
    """A plain text, also in `op.f("…")` and `quoted_name("…", True)`."""
    if isinstance(node, ast.Call) and node.args and _path(node.func)[-1] in ("f", "quoted_name"):
        node = node.args[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _path(function: ast.expr) -> list[str]:
    if isinstance(function, ast.Attribute):
        return [*_path(function.value), function.attr]
    return [function.id] if isinstance(function, ast.Name) else [root(function)]
