"""How the environment chooses servers and ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.settings import ROOT, Settings


def test_without_any_variable_the_committed_files_fit() -> None:
    assert Settings.from_environment({}).matches_the_committed_files


def test_another_state_directory_needs_other_files_since_it_has_an_audit_of_its_own() -> None:
    settings = Settings.from_environment({"RMBRAIN_STATE_DIR": "/elsewhere"})
    assert settings.state == Path("/elsewhere")
    assert not settings.matches_the_committed_files


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PORT", "5433"),
        ("POSTGRES_HOST", "db.example"),
        ("POSTGRES_PASSWORD", "other"),
        ("REDIS_PORT", "6380"),
        ("REDIS_HOST", "broker.example:6379"),
        ("DAPR_PLACEMENT_PORT", "16005"),
    ],
)
def test_another_server_or_port_needs_other_files(name: str, value: str) -> None:
    assert not Settings.from_environment({name: value}).matches_the_committed_files


def test_the_guides_own_variables_change_nothing() -> None:
    """Whoever exports them exactly as the guide shows must get what somebody gets who exports nothing."""
    guide = {"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": "postgres", "POSTGRES_HOST": "localhost"}
    settings = Settings.from_environment(guide | {"POSTGRES_PORT": "5432", "PGPASSWORD": "postgres"})
    assert settings.matches_the_committed_files
    assert settings.postgres_named


def test_redis_may_be_named_with_its_port() -> None:
    settings = Settings.from_environment({"REDIS_HOST": "broker.example:7000"})
    assert (settings.redis_host, settings.redis_port, settings.redis_named) == ("broker.example", 7000, True)


@pytest.mark.parametrize("value", ["", "x", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(InfrastructureError, match="POSTGRES_PORT="):
        Settings.from_environment({"POSTGRES_PORT": value})


def test_local_state_stays_in_the_checkout_where_git_ignores_it() -> None:
    assert Settings.from_environment({}).state == ROOT / ".rmbrain"
    assert ".rmbrain/" in (ROOT / ".gitignore").read_text().splitlines()
