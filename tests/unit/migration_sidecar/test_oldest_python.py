"""What runs in the interpreter of a service must run on Python 3.9, whatever runs these tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import migration_sidecar
from migration_sidecar import protocol, worker

OLDEST = (3, 9)
SINCE_THEN = {
    *("StrEnum", "UTC", "Self", "pairwise", "TypeAlias", "ParamSpec", "assert_never", "ExceptionGroup"),
    *(
        "BaseExceptionGroup",
        "TaskGroup",
        "aiter",
        "anext",
        "EncodingWarning",
        "override",
        "batched",
        "add_note",
    ),
}
KEYWORDS_SINCE_THEN = {"strict": "zip", "slots": "dataclass", "kw_only": "dataclass"}
FILES = sorted(file for package in (protocol, worker) for file in Path(package.__path__[0]).rglob("*.py"))
# What env.py imports of the rest.
FOR_ENV_PY = ("__init__", "environment", "config/__init__", "config/alembic_files", "config/database_url")
SHARED = [Path(migration_sidecar.__path__[0]) / f"{name}.py" for name in FOR_ENV_PY]


def later_than_the_oldest(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of what the grammar allows and an old Python does not have."""
    annotations = {id(part) for note in _annotations(tree) for part in ast.walk(note)}
    for node in ast.walk(tree):
        if id(node) in annotations:
            continue  # never evaluated, as each of these files says at its top
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and _is_union(node):
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Name | ast.alias | ast.Attribute):
            name = getattr(node, "id", None) or getattr(node, "name", None) or getattr(node, "attr", "")
            if name in SINCE_THEN:
                yield node.lineno, name
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            yield from (
                (node.lineno, f"{called}({given.arg}=)")
                for given in node.keywords
                if KEYWORDS_SINCE_THEN.get(given.arg or "") == called
            )


def _annotations(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if isinstance(note := getattr(node, name, None), ast.AST):
                yield note


def _is_union(node: ast.BinOp) -> bool:
    """Of types, and not of sets or flags, as far as the text tells."""
    types = {"None", "str", "int", "float", "bool", "bytes", "list", "dict", "tuple", "set", "frozenset", "object"}
    sides = [side.value if isinstance(side, ast.Subscript) else side for side in (node.left, node.right)]
    names = [ast.unparse(side) for side in sides if isinstance(side, ast.Name | ast.Attribute | ast.Constant)]
    return any(name in types or (name[:1].isupper() and not name.isupper()) for name in names)


@pytest.mark.parametrize("file", [*FILES, *SHARED], ids=lambda file: file.stem)
def test_a_module_that_runs_in_a_services_interpreter_is_written_for_python_3_9(file: Path) -> None:
    text = file.read_text()
    tree = ast.parse(text, feature_version=OLDEST)
    assert not list(later_than_the_oldest(tree))
    assert len(tree.body) <= 1 or "from __future__ import annotations" in text


def test_no_module_of_the_parent_is_imported_there_beside_those() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("migration_sidecar"):
                assert node.module.startswith(
                    ("migration_sidecar.protocol", "migration_sidecar.worker")
                ) or node.module in (
                    "migration_sidecar",
                    *(f"migration_sidecar.{name.replace('/', '.')}" for name in FOR_ENV_PY),
                ), f"{file.name}:{node.lineno}"


@pytest.mark.parametrize(
    "text",
    ["x: Any = cast(str | None, 1)", "isinstance(x, Path | str)", "from enum import StrEnum", "zip(a, b, strict=True)"],
)
def test_what_came_later_is_found(text: str) -> None:
    assert list(later_than_the_oldest(ast.parse(text)))


@pytest.mark.parametrize("text", ["def a(b: str | None) -> int | None: ...", "flags = A_FLAG | B_FLAG", "x = {1} | y"])
def test_what_is_never_evaluated_and_what_is_no_type_is_left_alone(text: str) -> None:
    assert not list(later_than_the_oldest(ast.parse(text)))


def test_the_grammar_itself_is_that_of_the_oldest() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass\n", feature_version=OLDEST)
