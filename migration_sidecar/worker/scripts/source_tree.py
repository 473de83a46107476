"""A parsed Python file of which many questions are asked: finding its nodes costs more than looking at them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SourceTree:
    """The nodes of a module in the order of its text, but Load, Store and Del, each before what is inside it."""

    def __init__(self, source: bytes) -> None:
        """Raises SyntaxError or ValueError if the text is not Python, as that of a compiled file."""
        self.module = ast.parse(source)
        self.nodes: list[ast.AST] = []
        self._places: dict[ast.AST, tuple[int, int]] = {}
        self._find_nodes()

    @classmethod
    def parsed(cls, source: bytes) -> SourceTree | None:
        """The tree of a file, or None if its text is not Python."""
        try:
            return cls(source)
        except (SyntaxError, ValueError):
            return None

    def walk(self, node: ast.AST) -> Sequence[ast.AST]:
        """As `ast.walk`: the node and everything in it."""
        first, end = self._places[node]
        return self.nodes[first:end]

    def _find_nodes(self) -> None:
        # Not by recursion: a long sum of texts is nested deeper than Python's limit.
        todo: list[ast.AST | tuple[ast.AST, int]] = [self.module]
        while todo:
            node = todo.pop()
            if isinstance(node, tuple):
                self._places[node[0]] = node[1], len(self.nodes)
                continue
            todo.append((node, len(self.nodes)))
            self.nodes.append(node)
            todo += reversed(_children(node))


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            found.append(value)
    return found
