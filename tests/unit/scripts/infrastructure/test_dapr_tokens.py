"""Each application of a fleet has two random tokens of its own, which only their owner can read."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from scripts.infrastructure.dapr_tokens import ENV_FILE, DaprTokens
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.render import Rendering, read_common, read_fleet, render_fleet
from scripts.infrastructure.settings import ROOT, Settings

NAMES = [COORDINATOR, "cds-task"]
COMMITTED = ROOT / "dapr.yaml"
# In the place of daprd: says what it was given.
ECHO = '#!/bin/sh\necho "$DAPR_API_TOKEN $APP_API_TOKEN $*"\n'


def test_the_tokens_are_random_private_and_kept(tmp_path: Path) -> None:
    tokens, others = DaprTokens(tmp_path / "one"), DaprTokens(tmp_path / "two")
    for each in (tokens, others):
        each.make(NAMES)
    made = [tokens.environment(name) for name in NAMES]
    tokens.make([*NAMES, "cds-fee"])
    assert [tokens.environment(name) for name in NAMES] == made
    assert {frozenset(each) for each in made} == {frozenset({"DAPR_API_TOKEN", "APP_API_TOKEN"})}
    values = [value for each in (*made, *map(others.environment, NAMES)) for value in each.values()]
    assert len(set(values)) == 8
    assert min(map(len, values)) > 40
    below = list(tokens.folder.rglob("*"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in below if file.is_file()} == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (tokens.folder, *below) if each.is_dir()} == {0o700}


def test_an_application_reads_what_its_own_sidecar_has(tmp_path: Path) -> None:
    tokens = DaprTokens(tmp_path)
    tokens.make(NAMES)
    for name in NAMES:
        lines = tokens.environment_file(name).read_text().splitlines()
        assert dict(line.split("=", 1) for line in lines) == tokens.environment(name)


def test_the_one_pair_of_an_earlier_release_goes(tmp_path: Path) -> None:
    folder = DaprTokens(tmp_path).folder
    folder.mkdir()
    for name in ("dapr-api", "app-api"):
        (folder / name).touch()
    DaprTokens(tmp_path).make(NAMES)
    assert sorted(each.name for each in folder.iterdir()) == sorted(NAMES)


def test_each_application_of_a_fleet_is_told_where_its_own_are(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    rendered = render_fleet(tmp_path / "fleet", Rendering(settings))
    for name, application in read_fleet(rendered).items():
        assert application["env"][ENV_FILE] == str(settings.dapr_tokens.environment_file(name))
        assert read_fleet(COMMITTED)[name]["env"][ENV_FILE] == f".rmbrain/tokens/{name}/environment"
    for file in (COMMITTED, rendered):
        assert (
            file.parent / read_common(file)["runtimePath"] / ".dapr" / "bin" / "daprd"
        ).stat().st_mode & stat.S_IXUSR


def test_a_fleet_shows_each_sidecar_its_own_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAPR_API_TOKEN", raising=False)
    settings = Settings(state=tmp_path)
    assert Fleet(settings).token == ""
    settings.dapr_tokens.make(NAMES)
    fleet = Fleet(settings)
    tokens = [settings.dapr_tokens.environment(name)["DAPR_API_TOKEN"] for name in NAMES]
    assert [fleet.token_of(name) for name in NAMES] == tokens
    assert fleet.request("/v1.0/healthz").get_header("Dapr-api-token") == fleet.token == tokens[0]
    assert not set(tokens) & set(fleet.program.environment.values())
    assert Fleet(settings, environment={"DAPR_API_TOKEN": ""}).token == ""
    monkeypatch.setenv("DAPR_API_TOKEN", "of the shell")
    assert fleet.token_of("cds-task") == "of the shell"


@pytest.mark.parametrize("spelling", [["--app-id", "cds-task"], ["--app-id=cds-task"]])
@pytest.mark.parametrize("place", ["RMBRAIN_TOKENS", "RMBRAIN_STATE_DIR"])
def test_daprd_is_started_with_the_tokens_of_its_application(tmp_path: Path, spelling: list[str], place: str) -> None:
    tokens = DaprTokens(tmp_path / "state")
    tokens.make(NAMES)
    (tmp_path / ".dapr" / "bin").mkdir(parents=True)
    (tmp_path / ".dapr" / "bin" / "daprd").write_text(ECHO)
    (tmp_path / ".dapr" / "bin" / "daprd").chmod(0o755)
    daprd = ROOT / "scripts" / "dapr" / "with_tokens" / ".dapr" / "bin" / "daprd"
    where = {place: str(tokens.folder if place == "RMBRAIN_TOKENS" else tokens.state)}
    environment = {"PATH": os.environ["PATH"], "DAPR_RUNTIME_PATH": str(tmp_path), **where}

    def started(*words: str, **more: str) -> str:
        command = [str(daprd), *words]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True).stdout

    own = tokens.environment("cds-task")
    words = " ".join(["--log-level", "info", *spelling, "--config", "a b"])
    assert started("--log-level", "info", *spelling, "--config", "a b").split(" ", 2) == [*own.values(), f"{words}\n"]
    assert started(*spelling, DAPR_API_TOKEN="").split(" ", 2)[:2] == ["", own["APP_API_TOKEN"]]
    assert started("--app-id", "unknown") == "  --app-id unknown\n"
    assert started("--version") == "  --version\n"


def test_no_committed_file_has_a_token() -> None:
    for file in (COMMITTED, *ROOT.glob("dapr-config*.yaml"), *(ROOT / "components").iterdir()):
        assert "API_TOKEN" not in file.read_text()
