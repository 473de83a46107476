"""What a program that is started here is given of the shell's variables."""

from __future__ import annotations

import pytest

from scripts.infrastructure.inherited import inherited, of_a_fleet

SECRETS = (
    *("POSTGRES_PASSWORD", "PGPASSWORD", "DATABASE_URL", "REDIS_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"),
    *("GIT_PASSWORD", "SOMETHING_ELSE", "MY_PATH", "HOMEBREW_GITHUB_API_TOKEN", "LANGFUSE_SECRET", "RMBRAIN_PASS"),
)
DOCUMENTED = (
    *("MIGRATE_ON_STARTUP", "COORDINATOR_CATALOG", "AUDIT_FOLDER", "AUDIT_SIGNING_KEY_FILE", "AUDIT_ANCHOR_GIT"),
    *("APP_API_TOKEN", "DAPR_API_TOKEN", "DAPR_HTTP_PORT", "MIGRATION_JOURNAL_TABLE", "ALEMBIC_CONFIG"),
    *("HTTPS_PROXY", "no_proxy", "PGSSLROOTCERT", "PGSSLMODE", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND"),
    *("LOG_FORMAT", "LOG_LEVEL"),
)
ANYBODY = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_CACHE_HOME")


@pytest.mark.parametrize("name", SECRETS)
def test_a_variable_that_nobody_asked_for_reaches_nobody(name: str) -> None:
    environment = {name: "canary"}
    assert inherited((), environment) == inherited(of_a_fleet(environment), environment) == {}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_setting_reaches_the_fleet_and_no_server(name: str) -> None:
    environment = {name: "value"}
    assert inherited(of_a_fleet(environment), environment) == environment
    assert inherited((), environment) == {}


@pytest.mark.parametrize("name", ANYBODY)
def test_what_any_program_needs_reaches_all(name: str) -> None:
    assert inherited((), {name: "value"}) == {name: "value"}


def test_a_variable_that_its_owner_names_reaches_the_fleet() -> None:
    environment = {"STRIPE_KEY": "value", "ACME_REGION": "eu", "OTHER": "no", "RMBRAIN_PASS": "STRIPE_KEY ACME_*"}
    assert inherited(of_a_fleet(environment), environment) == {"STRIPE_KEY": "value", "ACME_REGION": "eu"}
