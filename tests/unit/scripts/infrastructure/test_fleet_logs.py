"""Logs of earlier starts do not pile up."""

from __future__ import annotations

from pathlib import Path

from scripts.infrastructure.fleet_logs import prune


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_the_newest_logs_of_each_application_and_each_sidecar_stay(tmp_path: Path) -> None:
    for start in range(4):
        for program in ("cds-client_app", "cds-client_daprd", "cds-task_app"):
            (tmp_path / f"{program}_2026112{start}010203.log").touch()
    (tmp_path / "mine.txt").touch()
    prune(tmp_path, most=2)
    assert names(tmp_path) == [
        "cds-client_app_20261122010203.log",
        "cds-client_app_20261123010203.log",
        "cds-client_daprd_20261122010203.log",
        "cds-client_daprd_20261123010203.log",
        "cds-task_app_20261122010203.log",
        "cds-task_app_20261123010203.log",
        "mine.txt",
    ]


def test_few_logs_and_no_folder_are_left_alone(tmp_path: Path) -> None:
    for start in range(3):
        (tmp_path / f"cds-client_app_2026112{start}010203.log").touch()
    prune(tmp_path, most=5)
    prune(tmp_path / "none")
    assert len(names(tmp_path)) == 3
