"""What an env.py configured, taken together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migration_sidecar.alembic_environment.migration_target import target_of
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import Misconfigured
from migration_sidecar.protocol.catalog.database_identity import DatabaseIdentity, is_same, may_have_restarted
from migration_sidecar.protocol.results import ConfiguredDatabase
from migration_sidecar.protocol.url import make_url
from migration_sidecar.protocol.version_table import VersionTable

SETTINGS = Settings("shop", Path("alembic.ini"), url=None)
HERE: DatabaseIdentity = {"started": 1, "database": 7, "system": "s"}
RESTARTED: DatabaseIdentity = {**HERE, "started": 2}
THERE: DatabaseIdentity = {**HERE, "database": 8}
SHOP, OTHER = "postgresql://a/shop", "postgresql://a/other"


def place(url: str = SHOP, identity: DatabaseIdentity | None = HERE, **facts: Any) -> ConfiguredDatabase:
    return {
        "url": url,
        "version_table": "alembic_version",
        "version_table_schema": "",
        "default_schema": "",
        "role": "",
        "migrates": True,
        "in_transaction": False,
        "transaction_per_migration": False,
        "autocommit": False,
        "sees_journal": False,
        "identity": identity,
        "seen": {"oid": 1, "revisions": ["a1"], "width": 32},
        "prepares": False,
        "access": "",
        **facts,
    }  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("first", "second"),
    [(place(), place(SHOP, THERE)), (place(SHOP, None), place(OTHER, None)), (place(SHOP, None), place(OTHER))],
    ids=["two databases at one address", "two addresses", "two addresses, one of them proved"],
)
def test_several_databases_are_refused(first: ConfiguredDatabase, second: ConfiguredDatabase) -> None:
    with pytest.raises(Misconfigured, match="several databases"):
        target_of([first, second], SETTINGS)


def test_one_database_at_two_addresses_is_one() -> None:
    tenants = [place(default_schema="acme"), place("postgresql://localhost/shop", default_schema="globex")]
    assert target_of(tenants, SETTINGS).tables == (
        VersionTable("alembic_version", "acme"),
        VersionTable("alembic_version", "globex"),
    )


def test_an_unknown_address_is_a_reason_unless_one_is_named() -> None:
    unknown = target_of([place("")], SETTINGS)
    assert unknown.url is None
    assert unknown.reason is not None
    assert unknown.reason.code == "CM-703"
    assert target_of([place("")], replace(SETTINGS, configured_url=make_url(SHOP))).reason is None


def test_only_an_env_py_that_writes_first_has_a_version_table_of_tomorrow() -> None:
    assert target_of([place()], SETTINGS).prepared == {}
    assert target_of([place(prepares=True)], SETTINGS).prepared[VersionTable()]["revisions"] == ["a1"]


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        ({}, {}),
        ({"role": "owner"}, {"role": "owner"}),
        ({"access": "read_only"}, {}),
        ({"access": "read_write"}, {"default_transaction_read_only": "off"}),
    ],
)
def test_our_own_sessions_take_what_env_py_decided(facts: dict[str, str], settings: dict[str, str]) -> None:
    assert target_of([place(**facts)], SETTINGS).session_settings == settings


def test_a_restart_and_a_copy_look_alike_and_neither_is_the_same() -> None:
    assert is_same(HERE, {**HERE, "system": None})
    assert not is_same(HERE, RESTARTED)
    assert may_have_restarted(HERE, RESTARTED)
    assert not may_have_restarted(HERE, THERE)
    assert not may_have_restarted({**HERE, "system": None}, {**RESTARTED, "system": None})
