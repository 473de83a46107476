"""Set-up reads fleet.toml as the coordinator does; one that it cannot use is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.domain.catalog_file import read_catalog
from scripts.infrastructure.catalog import FleetMember, members
from scripts.infrastructure.errors import BadFleetFile

FLEET = '[fleet]\nname = "rmbrain"\naudit = "cds-audit"\n'
AUDIT = '[[services]]\nname = "cds-audit"\nfolder = "services/audit"\ndatabase = "audit"\n'
TASK = '[[services]]\nname = "cds-task"\nfolder = "services/task_service"\ndatabase = "cds_task"\n'
GOOD = FLEET + AUDIT + TASK


def written(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[[services", "The catalog is not TOML"),
        ("", "In the catalog, fleet: Field required"),
        (FLEET, "In the catalog, services: Field required"),
        (FLEET + "services = 3", "In the catalog, fleet.services"),
        ("services = [1]\n" + FLEET, r"In the catalog, services\.0: "),
        (FLEET + AUDIT + TASK.replace("folder", "folders"), r"In the catalog, services\.1\.folders: "),
        (GOOD.replace('name = "cds-task"', ""), r"In the catalog, services\.1\.name: Field required"),
        (GOOD.replace('"cds_task"', "5"), r"In the catalog, services\.1\.database: "),
        (GOOD.replace('"services/task_service"', '""'), "the service cds-task needs `folder`"),
        (GOOD.replace('folder = "services/task_service"', ""), "the service cds-task needs `folder`"),
        (b"# \xe9\n" + GOOD.encode(), "it is not UTF-8"),
        (b"\xef\xbb\xbf" + GOOD.encode(), "The catalog is not TOML"),
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


def test_a_service_without_a_database_needs_no_folder_and_is_no_member(tmp_path: Path) -> None:
    without = '[[services]]\nname = "bff-service"\nno_database = "it only calls others"\n'
    assert FleetMember("cds-task", "services/task_service", "cds_task") in members(written(tmp_path, GOOD + without))
    assert len(members(written(tmp_path, GOOD + without))) == 2


def test_set_up_has_the_order_in_which_the_coordinator_migrates(tmp_path: Path) -> None:
    early = TASK.replace("cds-task", "cds-early").replace("cds_task", "early") + 'depends_on = ["cds-task"]\n'
    text = FLEET + early + TASK + AUDIT
    assert [member.name for member in members(written(tmp_path, text))] == ["cds-audit", "cds-task", "cds-early"]
    assert [service.name for service in read_catalog(text).databases] == ["cds-audit", "cds-task", "cds-early"]
