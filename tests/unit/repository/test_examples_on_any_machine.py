"""No property fails because the machine is busy."""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import HealthCheck, settings

from scripts.infrastructure.settings import ROOT


def own_deadlines(file: Path) -> list[int]:
    """The lines on which a test gives its examples a time of its own."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "settings"
        if any(keyword.arg == "deadline" for keyword in node.keywords)
    ]


def test_examples_have_no_deadline() -> None:
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


def test_no_test_sets_a_deadline_of_its_own() -> None:
    files = [file for file in (ROOT / "tests").rglob("*.py") if "environments" not in file.parts]
    assert {file.name: lines for file in files if (lines := own_deadlines(file))} == {}
