"""A command sends the token that a variable names, read anew each time, and shows it to nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import BadInput
from coordinator.client.operator_token import LONGEST_TOKEN, operator_token, token_hook
from signed_calls.key_folder import make_key, private_file
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, run_record

TOKEN, OTHER = "eyJhbGciOiJFZERTQSJ9.canary-1.c2ln", "eyJhbGciOiJFZERTQSJ9.canary-2.c2ln"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TOKEN", "TOKEN_FILE", "KEY", "KEY_FILE", "OPERATOR"):
        monkeypatch.delenv(f"COORDINATOR_{name}", raising=False)
    make_key(tmp_path / "keys", "operator")  # the one that is used where nothing is named
    monkeypatch.setenv("RMBRAIN_STATE_DIR", str(tmp_path))


def test_a_token_is_sent_instead_of_a_signature(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_TOKEN", f"{TOKEN}\n")
    coordinator.answers("GET /migrations/release-41", (200, run_record()))
    assert command("status", "release-41").exit_code == 0
    headers = {name.lower(): value for name, value in coordinator.asked[0].headers.items()}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert "signature" not in headers


def test_a_file_is_read_at_each_call_because_tokens_are_renewed(
    coordinator: ScriptedCoordinator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)  # as Kubernetes projects it
    monkeypatch.setenv("COORDINATOR_TOKEN_FILE", str(file))
    coordinator.answers("GET /migrations/release-41", (200, run_record()))
    with CoordinatorClient.of_operator(coordinator.url) as client:
        client.run("release-41")
        file.write_text(OTHER)
        client.run("release-41")
        file.unlink()
        with pytest.raises(BadInput):
            client.run("release-41")
    sent = [{name.lower(): value for name, value in asked.headers.items()} for asked in coordinator.asked]
    assert [headers["authorization"] for headers in sent] == [f"Bearer {TOKEN}", f"Bearer {OTHER}"]


@pytest.mark.parametrize(
    "named",
    [
        ("COORDINATOR_TOKEN", "COORDINATOR_KEY"),
        ("COORDINATOR_TOKEN", "COORDINATOR_KEY_FILE"),
        ("COORDINATOR_TOKEN_FILE", "COORDINATOR_KEY_FILE"),
        ("COORDINATOR_TOKEN", "COORDINATOR_TOKEN_FILE"),
    ],
)
def test_a_token_and_a_key_are_too_much(named: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    values = {
        "COORDINATOR_TOKEN": TOKEN,
        "COORDINATOR_TOKEN_FILE": str(file),
        "COORDINATOR_KEY": "canary-3",
        "COORDINATOR_KEY_FILE": str(private_file(tmp_path / "keys", "operator")),
    }
    with pytest.raises(BadInput) as refused:
        operator_token({name: values[name] for name in named})
    assert all(name in refused.value.problem["detail"] for name in named)
    assert "canary" not in json.dumps(refused.value.problem)


@pytest.mark.parametrize(
    "text", ["canary", "Bearer a.b.c-canary", "a.b.canary\r\nx: y", "a.b", "a.b.", "a.b." + "x" * LONGEST_TOKEN, " "]
)
def test_a_token_that_cannot_be_used_is_told_before_anything_is_sent_and_not_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    for environment in ({"COORDINATOR_TOKEN": text}, {"COORDINATOR_TOKEN_FILE": str(tmp_path / "token")}):
        with pytest.raises(BadInput) as refused:
            operator_token(environment)
        assert next(iter(environment)) in refused.value.problem["detail"]
        assert "canary" not in json.dumps(refused.value.problem)


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://coordinator.bank.example/migrations", True),
        ("http://127.0.0.1:3500/migrations", True),
        ("http://[::1]:3500/migrations", True),
        ("http://coordinator.bank.example/migrations", False),
        ("http://127.0.0.1.bank.example/migrations", False),
    ],
)
def test_a_token_is_sent_where_nobody_reads_it_on_its_way(url: str, is_sent: bool) -> None:
    request = httpx.Request("GET", url)
    if is_sent:
        token_hook(lambda: TOKEN)(request)
    else:
        with pytest.raises(BadInput):
            token_hook(lambda: TOKEN)(request)
    assert ("authorization" in request.headers) is is_sent


def test_publish_needs_a_key_and_says_so(command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of set-up would be somebody else's name."""
    monkeypatch.setenv("COORDINATOR_TOKEN", TOKEN)
    result = command("publish", "--all", "--json")
    problem = json.loads(result.stdout)
    assert result.exit_code != 0
    assert "publish needs a key" in problem["detail"]
    assert "canary" not in result.output
