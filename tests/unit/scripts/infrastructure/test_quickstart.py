"""What quickstart tells its user to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.quickstart import psql_command
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.signed import anchors


@pytest.mark.parametrize(
    ("server", "command"),
    [
        (Address(), "PGPASSWORD=postgres psql -h localhost -U postgres -d cds_client -c '\\dt'"),
        (Address(port=5433), "PGPASSWORD=postgres psql -h localhost -p 5433 -U postgres -d cds_client -c '\\dt'"),
        (
            Address("db.example", user="an admin", password="secret"),
            "PGPASSWORD=\"$POSTGRES_PASSWORD\" psql -h db.example -U 'an admin' -d cds_client -c '\\dt'",
        ),
    ],
)
def test_the_command_to_look_into_a_database_works_as_it_stands_and_shows_no_password_of_the_users(
    server: Address, command: str
) -> None:
    assert psql_command(server) == command


def test_where_the_anchors_are_is_said_as_the_audit_itself_reads_it(tmp_path: Path) -> None:
    elsewhere = Fleet.of(Settings.private(tmp_path / "state"), {})
    assert anchors(Fleet(Settings()), {}) == f"{ROOT / '.rmbrain' / 'audit' / 'anchors'}"
    assert anchors(elsewhere, {}) == f"{tmp_path / 'state' / 'audit' / 'anchors'}"
    in_git = {"AUDIT_ANCHOR_GIT": "/anchors"}
    assert anchors(elsewhere, in_git) == "/anchors"
    both = in_git | {"AUDIT_ANCHOR_FOLDER": "/more"}
    assert anchors(elsewhere, both) == "/more and /anchors"
