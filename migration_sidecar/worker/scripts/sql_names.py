"""Reads in the text of SQL which tables, views and columns it makes."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

ANY_SCHEMA = "*"
DYNAMIC = "\x00"  # stands in a text where a value is put in that is known only when it runs

_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)"
_PUT_IN = rf"(?:{DYNAMIC}|\{{\w*\}}|%\(\w+\)s|%(?:\d\$)?[sIL])"
_PART = rf'(?:"(?:[^"]|"")*"|(?:[^\W\d]|{_PUT_IN})(?:[\w$]|{_PUT_IN})*)'
_NAME = rf"(?P<name>{_PART}(?:{_SPACE}*\.{_SPACE}*{_PART})?)?"
_FLAGS = re.IGNORECASE | re.DOTALL
_MAKES = re.compile(
    rf"\bcreate{_SPACE}+(?P<kind>(?:(?:or{_SPACE}+replace|global|local|temp|temporary|unlogged|foreign|recursive"
    rf"|materialized){_SPACE}+)*)(?:table|view)\b{_SPACE}*(?:if{_SPACE}+not{_SPACE}+exists\b{_SPACE}*)?{_NAME}",
    _FLAGS,
)
_ALTERS = re.compile(
    rf"\balter{_SPACE}+(?:foreign{_SPACE}+)?table\b{_SPACE}*(?:if{_SPACE}+exists\b{_SPACE}*)?(?:only\b{_SPACE}*)?{_NAME}",
    _FLAGS,
)
_RENAMES = re.compile(rf"\A{_SPACE}*\*?{_SPACE}*rename{_SPACE}+to\b{_SPACE}*{_NAME}", _FLAGS)
_MOVES = re.compile(rf"\A{_SPACE}*\*?{_SPACE}*set{_SPACE}+schema\b{_SPACE}*{_NAME}", _FLAGS)
_ADDS = re.compile(
    rf"\badd{_SPACE}+column\b{_SPACE}*(?:if{_SPACE}+not{_SPACE}+exists\b{_SPACE}*)?(?P<name>{_PART})", _FLAGS
)
_OF_A_TABLE = re.compile(r"\A\S*\s+partition\s+of\b", _FLAGS)
_IS_CUT_SHORT = re.compile(r"\A(?:\Z|'|\|\|)")  # the text ends within the statement; more is put behind it
_TEMPORARY = re.compile(r"\btemp(?:orary)?\b", re.IGNORECASE)
_HOLDS_VALUE = re.compile(_PUT_IN, re.IGNORECASE)
_LONGEST = 63  # bytes; PostgreSQL cuts longer names


class Name(NamedTuple):
    """A table as a text names it. `schema` is empty if the text names none; `column` is one that it is given."""

    schema: str
    table: str
    column: str = ""


class SqlNames(NamedTuple):
    """What a text makes. `is_whole` is false if it makes a table whose name it does not hold."""

    made: list[Name]
    is_whole: bool


def names_in(sql: str) -> SqlNames:
    """What the SQL makes. It is read by its words only, so a comment may count too."""
    made: list[Name] = []
    is_whole = True
    moves_path = "search_path" in sql.lower()
    for match in _MAKES.finditer(sql):
        rest = sql[match.end() : match.end() + 200]
        if _TEMPORARY.search(match["kind"]):
            continue
        name = _name(match["name"], ANY_SCHEMA if moves_path else "") if match["name"] else None
        if name is not None and not _HOLDS_VALUE.search(name.table) and not _IS_CUT_SHORT.match(rest):
            made.append(name)
        else:  # a partition is not there without its table
            is_whole = is_whole and bool(_OF_A_TABLE.match(rest))
    for match in _ALTERS.finditer(sql):
        made += _altered(match["name"], sql[match.end() :].partition(";")[0])
    return SqlNames(made, is_whole)


def cut(name: str) -> str:
    """The name as PostgreSQL keeps it."""
    return name.encode()[:_LONGEST].decode(errors="ignore")


def _altered(name: Optional[str], rest: str) -> list[Name]:  # noqa: UP045 - evaluated by Python 3.9
    table = _name(name) if name is not None else None
    schema = table.schema if table is not None else ANY_SCHEMA
    if (renamed := _RENAMES.match(rest)) is not None and renamed["name"]:
        return [Name(schema, _name(renamed["name"]).table)]
    if table is None:
        return []
    if (moved := _MOVES.match(rest)) is not None and moved["name"]:
        return [Name(_name(moved["name"]).table, table.table)]
    return [Name(table.schema, table.table, _part(added["name"])) for added in _ADDS.finditer(rest)]


def _name(text: str, default: str = "") -> Name:
    parts = [_part(each) for each in re.findall(_PART, text)]
    if len(parts) == 1:
        return Name(default, parts[0])
    return Name(ANY_SCHEMA if _HOLDS_VALUE.search(parts[0]) else parts[0], parts[1])


def _part(text: str) -> str:
    return cut(text[1:-1].replace('""', '"') if text.startswith('"') else text.lower())
