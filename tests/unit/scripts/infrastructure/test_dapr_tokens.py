"""A fleet has two random tokens of its own, which only its owner can read."""

from __future__ import annotations

import stat
from pathlib import Path

from scripts.infrastructure.dapr_tokens import DaprTokens
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.settings import ROOT, Settings


def test_the_tokens_are_random_private_and_kept(tmp_path: Path) -> None:
    tokens, others = DaprTokens(tmp_path / "one"), DaprTokens(tmp_path / "two")
    for each in (tokens, others):
        each.make()
    made = tokens.environment()
    tokens.make()
    assert tokens.environment() == made
    assert made.keys() == {"DAPR_API_TOKEN", "APP_API_TOKEN"}
    values = [*made.values(), *others.environment().values()]
    assert len(set(values)) == 4
    assert min(map(len, values)) > 40
    assert {stat.S_IMODE(file.stat().st_mode) for file in tokens.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(tokens.folder.stat().st_mode) == 0o700


def test_a_fleet_is_started_with_the_tokens_of_its_own_state(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    assert Fleet(settings).token == ""
    settings.dapr_tokens.make()
    fleet = Fleet(settings)
    assert settings.dapr_tokens.environment().items() <= fleet.program.environment.items()
    assert fleet.request("/v1.0/healthz").get_header("Dapr-api-token") == fleet.token != ""


def test_no_committed_file_has_a_token() -> None:
    for file in (ROOT / "dapr.yaml", ROOT / "dapr-config.yaml", *(ROOT / "components").iterdir()):
        assert "API_TOKEN" not in file.read_text()
