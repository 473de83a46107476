"""The tree of a file answers as `ast.walk` does, at the first time of asking and at every other."""

import ast
from pathlib import Path

import pytest

from migration_sidecar.worker.scripts import made_tables, source_tree, static_analysis
from migration_sidecar.worker.scripts.source_tree import SourceTree

FILES = [made_tables.__file__, source_tree.__file__, static_analysis.__file__]
SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)  # Python has one object of each


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file).stem)
def test_what_is_in_a_node_is_what_ast_finds(file: str) -> None:
    tree = SourceTree(Path(file).read_bytes())
    for node in (each for each in tree.nodes if not isinstance(each, SHARED)):
        found = {each for each in ast.walk(node) if not isinstance(each, ast.expr_context)}
        assert set(tree.walk(node)) == found


def test_nodes_come_in_the_order_of_the_text() -> None:
    tree = SourceTree(b"first(second(third()), fourth())\nfifth()")
    assert [each.id for each in tree.nodes if isinstance(each, ast.Name)] == [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
    ]


def test_an_expression_may_be_nested_deeper_than_python_recurses() -> None:
    # The parser of 3.11 takes about 3,000 of these; a walk that calls itself ends at 1,000.
    tree = SourceTree(b"x = " + b" + ".join([b"'a'"] * 1500))
    assert sum(isinstance(each, ast.Constant) for each in tree.nodes) == 1500


def test_what_is_no_python_has_no_tree() -> None:
    assert SourceTree.parsed(b"\0\0compiled") is None
    assert SourceTree.parsed(b"def (") is None
