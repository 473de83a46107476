"""What is imported is declared, in the dependencies or in the extra of those who import it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# An interpreter older than 3.11 that runs Alembic for a service brings it if it needs it.
BROUGHT_BY_THE_SERVICE = {"tomli", "flask"}
EXTRAS = {
    "audit_verifier": ["audit"],
    "coordinator": ["coordinator", "report"],
    "migration_sidecar": [],
    "services": ["audit"],
    "signed_calls": [],
    "scripts": ["local"],
    "bench": ["local"],
    "tests": list(PROJECT["optional-dependencies"]),
}


def imported(package: str) -> Iterator[str]:
    for file in (ROOT / package).rglob("*.py"):
        if file.is_relative_to(ROOT / "tests" / "environments"):
            continue  # in the style of other people's projects
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(package: str) -> set[str]:
    lines = [*PROJECT["dependencies"]]
    for extra in EXTRAS[package]:
        lines += PROJECT["optional-dependencies"][extra]
    return {normal(re.split(r"[\[<>=]", line)[0]) for line in lines}


@pytest.mark.parametrize("package", EXTRAS)
def test_every_package_that_is_imported_is_declared(package: str) -> None:
    distributions = packages_distributions()
    foreign = set(imported(package)) - EXTRAS.keys() - sys.stdlib_module_names - BROUGHT_BY_THE_SERVICE
    undeclared = {
        name for name in foreign if not {normal(of) for of in distributions.get(name, [name])} & declared(package)
    }
    assert undeclared == set()
