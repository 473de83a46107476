"""What runs in the interpreter of a service must run on Python 3.9, whatever runs these tests."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What is loaded there first: the forkserver and all it forks, and what a service's env.py imports.
ENTRANCES = ("migration_sidecar.worker", "migration_sidecar.environment", "migration_sidecar.protocol")
# Alembic and SQLAlchemy are there; tomli only where Alembic brings it, and its absence is caught.
THERE = {*sys.stdlib_module_names, "alembic", "sqlalchemy", "tomli"}
WITH_FLASK = "migration_sidecar.worker.env.flask_application"  # loaded only where Flask-Migrate keeps the environment
CONTRACTS = (
    "What runs in a service's interpreter needs the standard library, Alembic and SQLAlchemy only",
    "The table of problem codes can be read by any program",
)
OLDEST = (3, 9)
SINCE_THEN = {
    *(
        "StrEnum",
        "UTC",
        "Self",
        "Required",
        "NotRequired",
        "Unpack",
        "pairwise",
        "TypeAlias",
        "ParamSpec",
        "assert_never",
        "ExceptionGroup",
    ),
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


def runs_there() -> dict[str, Path]:
    """Every module of ours that a service's interpreter can come to import, by following the imports."""
    todo = [name for entrance in ENTRANCES for name in _inside(entrance)]
    found: dict[str, Path] = {}
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = _file(name)
            todo += [name.rpartition(".")[0]] if "." in name else []
            todo += [each for each in imports_of(found[name]) if _is_ours(each)]
    return dict(sorted(found.items()))


@cache
def imports_of(file: Path) -> set[str]:
    """What it imports while it runs, wherever in it; not what only a type checker reads."""
    imported: set[str] = set()
    todo: list[ast.AST] = [ast.parse(file.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {node.module, *(name for name in names if _is_ours(name) and _file(name).exists())}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_ours(node.value):
            imported |= {node.value} if _file(node.value).exists() else set()  # for importlib.import_module
    return imported


def _inside(package: str) -> list[str]:
    file = _file(package)
    if file.name != "__init__.py":
        return [package]
    inside = [each.relative_to(ROOT).with_suffix("").parts for each in file.parent.rglob("*.py")]
    return [".".join(parts).removesuffix(".__init__") for parts in inside]


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "migration_sidecar"


RUNS_THERE = runs_there()


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


@pytest.mark.parametrize("module", RUNS_THERE)
def test_a_module_that_runs_in_a_services_interpreter_is_written_for_python_3_9(module: str) -> None:
    text = RUNS_THERE[module].read_text()
    tree = ast.parse(text, feature_version=OLDEST)
    assert not list(later_than_the_oldest(tree))
    assert len(tree.body) <= 1 or "from __future__ import annotations" in text


@pytest.mark.parametrize("module", RUNS_THERE)
def test_it_imports_nothing_that_a_service_need_not_have(module: str) -> None:
    foreign = {each.partition(".")[0] for each in imports_of(RUNS_THERE[module]) if not _is_ours(each)}
    assert foreign <= THERE | ({"flask"} if module == WITH_FLASK else set())


def test_the_import_contracts_are_about_all_of_them_and_nothing_else() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [name for contract in contracts if contract["name"] in CONTRACTS for name in contract["source_modules"]]
    with_code = [name for name, file in RUNS_THERE.items() if file.name != "__init__.py"]
    assert [name for name in with_code if not name.startswith(tuple(held))] == []
    assert [source for source in held if not any(name.startswith(source) for name in with_code)] == []


def test_the_modules_are_found_by_their_imports() -> None:
    assert {"migration_sidecar.worker.server.job", "migration_sidecar.config.database_url"} <= set(RUNS_THERE)
    assert "migration_sidecar.config.settings" not in RUNS_THERE


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
