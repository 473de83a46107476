"""A fleet.toml that set-up cannot use is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.infrastructure.catalog import FleetMember, members
from scripts.infrastructure.errors import BadFleetFile

GOOD = '[[services]]\nname = "cds-task"\nfolder = "services/task_service"\ndatabase = "cds_task"\n'


def written(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[[services", "it is not TOML"),
        ("", r"it has no \[\[services\]\]"),
        ("services = []", r"it has no \[\[services\]\]"),
        ("services = 3", r"it has no \[\[services\]\]"),
        ("[services]\nname = 'x'", r"it has no \[\[services\]\]"),
        ("services = [1]", "the service number 1 needs `name`"),
        (GOOD.replace("folder", "folders"), "the service cds-task needs `folder`"),
        (GOOD.replace('name = "cds-task"', ""), "the service number 1 needs `name`"),
        (GOOD.replace('"cds_task"', "5"), "the service cds-task needs `database`"),
        (GOOD.replace('"services/task_service"', '""'), "the service cds-task needs `folder`"),
        (b"# \xe9\n" + GOOD.encode(), "it is not UTF-8"),
        (b"\xef\xbb\xbf" + GOOD.encode(), "it is not TOML"),
        (GOOD.encode("utf-16"), "it is not UTF-8"),
    ],
)
def test_a_catalog_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, content: str | bytes, why: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(BadFleetFile, match=f"The catalog {file} cannot be used: {why}") as raised:
        members(file)
    assert "\n" not in str(raised.value)


def test_a_catalog_that_is_not_there_or_is_a_folder_is_named_too(tmp_path: Path) -> None:
    for place in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(BadFleetFile, match=f"The catalog {place} cannot be used"):
            members(place)


def test_a_service_without_a_database_needs_no_folder(tmp_path: Path) -> None:
    without = '[[services]]\nname = "bff-service"\nno_database = "it only calls others"\n'
    assert members(written(tmp_path, without + GOOD)) == [FleetMember("cds-task", "services/task_service", "cds_task")]
