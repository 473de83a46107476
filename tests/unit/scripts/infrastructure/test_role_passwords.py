"""What the role of a database is called, and how its password is kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from psycopg import conninfo

from scripts.infrastructure.role_passwords import AUDIT_ROLES, LONGEST, RolePasswords, role_of


def test_the_role_of_a_plain_database_has_its_name() -> None:
    assert role_of("cds_client") == "cds_client"


@pytest.mark.parametrize(
    "database", ["Orders", "or-ders", 'we"ird', "ünï", "a" * 64, "1st", "pg_own", "postgres", "public", *AUDIT_ROLES]
)
def test_the_role_of_any_other_database_is_a_plain_word_and_nobody_elses(database: str) -> None:
    role = role_of(database)
    assert role.isascii()
    assert role.replace("_", "").isalnum()
    assert role == role.lower()
    assert role.startswith("service_")
    assert len(role) <= LONGEST


def test_two_databases_never_have_one_role() -> None:
    names = ["orders", "Orders", "or-ders", "or_ders", "a" * 63, "a" * 64, "a" * 65]
    assert len({role_of(name) for name in names}) == len(names)


def test_a_password_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    passwords = RolePasswords(tmp_path / "passwords" / "localhost-5432")
    assert not passwords.exists("cds_client")
    first = passwords.make("cds_client")
    assert len(first) == 64
    assert passwords.make("cds_client") == first
    assert passwords.make("cds_task") != first
    assert passwords.file("cds_client").read_text() == f"*:*:*:cds_client:{first}\n"
    assert stat.S_IMODE(passwords.file("cds_client").stat().st_mode) == 0o600
    assert stat.S_IMODE(passwords.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(passwords.folder.parent.stat().st_mode) == 0o700


def test_libpq_knows_the_parameter_that_the_state_store_uses() -> None:
    assert conninfo.conninfo_to_dict("postgresql://role@localhost/db?passfile=a/file")["passfile"] == "a/file"
