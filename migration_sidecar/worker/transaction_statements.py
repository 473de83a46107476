"""Finds the statements in an SQL text that begin or end a transaction, or handle a savepoint."""

from __future__ import annotations

import re
from collections.abc import Callable

_FIRST_WORDS = r"commit|end|rollback|abort|begin|start\s+transaction|savepoint|release"
_MAY_MANAGE = re.compile(rf"\b({_FIRST_WORDS})\b", re.IGNORECASE)
_MANAGES = re.compile(rf"(?:^|;)\s*({_FIRST_WORDS})\b", re.IGNORECASE)
_ENDS = re.compile(
    r"(?:^|;)\s*(?P<all>(?P<word>commit|end|rollback|abort)(\s+(work|transaction))?(\s+and\s+(no\s+)?chain)?)\s*(?=;|$)",
    re.IGNORECASE,
)
_NOISE = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_FUNCTION_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)  # its END ends no transaction


def manages_transactions(sql: str) -> bool:
    """Whether a statement of this text begins or ends a transaction or a savepoint."""
    return bool(_MAY_MANAGE.search(sql) and _MANAGES.search(_blanked(sql)))


def replace_ends(sql: str, instead: Callable[[bool], str]) -> str:
    """The text with `instead` for each statement that ends a transaction; it is told whether that one commits."""
    if not _MAY_MANAGE.search(sql):
        return sql
    for found in reversed(list(_ENDS.finditer(_blanked(sql)))):
        start, end = found.span("all")
        sql = sql[:start] + instead(found["word"].lower() in ("commit", "end")) + sql[end:]
    return sql


def _blanked(sql: str) -> str:
    """As long as the text, with spaces for what is quoted or a comment, and for a text that is a function's body."""
    blanked = _NOISE.sub(lambda found: " " * len(found[0]), sql)
    return " " * len(sql) if _FUNCTION_BODY.search(blanked) else blanked
