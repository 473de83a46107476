"""What people read stays true: links lead somewhere, codes exist, diagrams agree with the tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest

from coordinator.domain.run_state import MOVES as RUN_MOVES
from coordinator.domain.step import MOVES as STEP_MOVES
from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.contract.problem_catalogue.reference_page import page

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CATALOGUE = ROOT / "migration_sidecar" / "contract" / "problem_catalogue"
PROGRAM = re.compile(r"```.*?```", re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
MOVE = re.compile(r"^ +(\w+) --> (\w+)(?: : .*)?$", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for file, heading in LINK.findall(PROGRAM.sub("", page.read_text())):
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {file}"
        if heading:
            assert heading in anchors(target), f"{page.name} links to {file}#{heading}"


def test_every_code_that_the_code_gives_is_in_the_catalogue_and_no_other() -> None:
    files = python_files("coordinator", "migration_sidecar", "services")
    given = codes_in([file for file in files if CATALOGUE not in file.parents], r'"(CM-\d{3})"')
    assert len(given) > 40
    assert set(PROBLEM_KINDS) == given


def test_the_page_of_errors_is_the_catalogue() -> None:
    """Otherwise: python -m migration_sidecar.contract.problem_catalogue.reference_page > docs/errors.md"""
    assert (ROOT / "docs" / "errors.md").read_text() == page()


def test_pages_name_only_codes_that_exist() -> None:
    assert codes_in(PAGES, r"\b(CM-\d{3})\b") <= PROBLEM_KINDS.keys()


@pytest.mark.parametrize(
    ("page", "heading", "moves"),
    [("policies.md", "# Policies and verbs", RUN_MOVES), ("architecture.md", "### A step", STEP_MOVES)],
    ids=["of a run", "of a step"],
)
def test_the_state_diagram_shows_exactly_the_allowed_moves(
    page: str, heading: str, moves: dict[StrEnum, frozenset[StrEnum]]
) -> None:
    text = (ROOT / "docs" / page).read_text()
    diagram = text.split(f"{heading}\n", 1)[1].split("```mermaid\n", 1)[1].split("```", 1)[0]
    assert set(MOVE.findall(diagram)) == {(old.value, new.value) for old, news in moves.items() for new in news}


def python_files(*folders: str) -> Iterable[Path]:
    return [file for folder in folders for file in (ROOT / folder).rglob("*.py")]


def codes_in(files: Iterable[Path], pattern: str) -> set[str]:
    return {code for file in files for code in re.findall(pattern, file.read_text(), re.MULTILINE)}


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = HEADING.findall(PROGRAM.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


DOCUMENTED = ("coordinator", "services/cas_service")
# An error's class name and message say what happened; the catalogue of problems says the rest.
NOT_DOCUMENTED = ("coordinator/errors.py", "services/cas_service/alembic")


def test_every_public_class_and_function_says_what_it_is() -> None:
    others = [ROOT / name for name in NOT_DOCUMENTED]
    files = [file for name in DOCUMENTED for file in modules(ROOT / name) if not {file, *file.parents} & set(others)]
    assert len(files) > 150
    assert [f"{file.relative_to(ROOT)}: {name}" for file in files for name in without_docstring(file)] == []


def modules(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def without_docstring(file: Path) -> list[str]:
    """Methods that implement a protocol of the language, such as __call__, and functions inside functions need none."""
    found: list[str] = []
    bodies: list[ast.Module | ast.ClassDef] = [ast.parse(file.read_text())]
    while bodies:
        for node in bodies.pop().body:
            if isinstance(node, ast.ClassDef):
                bodies.append(node)
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                found += [] if ast.get_docstring(node) else [node.name]
    return found
