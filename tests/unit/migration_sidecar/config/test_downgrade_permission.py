"""Which downgrades an endpoint takes: none by itself, and none ever of a database that is there to keep things."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migration_sidecar.config.downgrade_permission import downgrade_refusal
from migration_sidecar.config.settings import Settings, read_settings
from migration_sidecar.contract.messages import Action

SERVICES = Path(__file__).parents[4] / "services"
PLAIN = Settings(service="orders", config_file=Path("alembic.ini"), url=None)


def test_a_downgrade_is_refused_unless_the_service_takes_them() -> None:
    no = downgrade_refusal(PLAIN, Action.DOWNGRADE, "a1")
    assert no is not None
    assert (no.status, no.problem.code, no.problem.retryable) == (403, "CM-206", False)
    assert "endpoint_downgrades = true" in no.problem.next_step
    assert "migration-sidecar downgrade a1" in no.problem.next_step
    assert downgrade_refusal(replace(PLAIN, endpoint_downgrades=True), Action.DOWNGRADE, "a1") is None


def test_no_setting_opens_what_is_never_taken_back() -> None:
    no = downgrade_refusal(replace(PLAIN, endpoint_downgrades=True, never_taken_back=True), Action.DOWNGRADE, "a1")
    assert no is not None
    assert (no.status, no.problem.code) == (403, "CM-206")
    assert "endpoint_downgrades" not in no.problem.next_step


def test_an_upgrade_is_none_of_its_business() -> None:
    assert downgrade_refusal(replace(PLAIN, never_taken_back=True), Action.UPGRADE, "head") is None


@pytest.mark.parametrize("ini", sorted(SERVICES.glob("*/alembic.ini")), ids=lambda ini: ini.parent.name)
def test_of_our_own_services_the_audit_is_never_taken_back_and_the_others_take_approved_downgrades(ini: Path) -> None:
    settings = read_settings(ini, {"DATABASE_URL": "postgresql://a@h/x"})
    assert settings.never_taken_back is (settings.service == "cas-audit")
    assert settings.endpoint_downgrades is (settings.service != "cas-audit")
