"""The house as CONTRIBUTING and docs/architecture.md describe it: sizes of modules and packages, and their levels."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = ("audit_verifier", "bench", "coordinator", "migration_sidecar", "scripts", "services", "signed_calls")
STANDS_ALONE = ROOT / "audit_verifier" / "verify.py"  # one file, so that a sceptic reads one file
MOST_LINES, MOST_MODULES = 250, 14
ROW = re.compile(r"^\| (\d*) *\| (`[^|]+`) +\|", re.MULTILINE)


def modules() -> list[Path]:
    files = [file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")]
    return [file for file in files if "versions" not in file.parts]


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_can_be_read_at_one_sitting(file: Path) -> None:
    assert file == STANDS_ALONE or len(file.read_text().splitlines()) <= MOST_LINES


def test_no_package_has_more_modules_than_a_reader_keeps_apart() -> None:
    folders = {file.parent for file in modules()}
    crowded = {
        str(folder.relative_to(ROOT)): len(names)
        for folder in folders
        if len(names := [file for file in folder.glob("*.py") if file.name != "__init__.py"]) > MOST_MODULES
    }
    crowded.pop("scripts/infrastructure", None)  # programs of the checkout, which are no package of the product
    assert crowded == {}


@pytest.mark.parametrize(
    ("heading", "container"),
    [("Inside the coordinator", "coordinator"), ("Inside the migration sidecar", "migration_sidecar")],
)
def test_architecture_shows_the_levels_that_the_import_contract_holds(heading: str, container: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().split(f"### {heading}\n", 1)[1].split("\n## ", 1)[0]
    shown: list[set[str]] = []
    for line, names in ROW.findall(text.split("\n### ", 1)[0]):
        if line:
            shown.append(set())
        shown[-1] |= {name.split("/", 1)[0] for name in re.findall(r"`([\w/.]+)`", names)}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == [container]]
    assert shown == [set(re.split(r" [|:] ", layer)) for layer in layers]
    assert len(shown) <= 6
