"""Each command signs with the key of whoever runs it; one that cannot be used stops it before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from coordinator.client.errors import BadInput
from coordinator.client.event_publisher import event_of
from coordinator.client.operator_key import APP_ID, operator_signer, signing_hook
from signed_calls.events import EventVerifier
from signed_calls.key_folder import make_key, private_file, public_folder
from signed_calls.keys import PublicKeys
from signed_calls.signature import Call
from signed_calls.verification import Verifier
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, run_record


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / ".rmbrain" / "keys"
    make_key(folder, "operator")
    return folder


def verifier(keys: Path) -> Verifier:
    return Verifier(PublicKeys(public_folder(keys)), APP_ID)


@pytest.mark.parametrize("prefix", ["", "/v1.0/invoke/migration-coordinator/method", "/behind/a/proxy"])
def test_what_is_signed_is_what_the_coordinator_sees(keys: Path, tmp_path: Path, prefix: str) -> None:
    signer = operator_signer({}, tmp_path / "a" / "subfolder")
    assert signer is not None
    request = httpx.Request("POST", f"http://x:1{prefix}/migrations/r%20-1?limit=5&a=%2F", json={"services": "all"})
    signing_hook(signer, prefix)(request)
    caller = verifier(keys).verify("POST", "/migrations/r%20-1?limit=5&a=%2F", request.headers.items(), request.content)
    assert caller.name == "operator"


def test_a_key_is_found_by_variable_then_by_state_folder_then_here_and_above(keys: Path, tmp_path: Path) -> None:
    ada = make_key(tmp_path / "other" / "keys", "ada")
    file = str(private_file(tmp_path / "other" / "keys", "ada"))
    as_ada = {"COORDINATOR_OPERATOR": "ada"}
    assert operator_signer(as_ada, tmp_path) is None
    assert operator_signer(as_ada | {"RMBRAIN_STATE_DIR": str(tmp_path / "other")}, tmp_path).key_id == ada.key_id  # type: ignore[union-attr]
    assert operator_signer(as_ada | {"COORDINATOR_KEY_FILE": file}, tmp_path).key_id == ada.key_id  # type: ignore[union-attr]
    text = Path(file).read_text()
    assert operator_signer(as_ada | {"COORDINATOR_KEY": text}, tmp_path).key_id == ada.key_id  # type: ignore[union-attr]
    assert operator_signer({"RMBRAIN_STATE_DIR": str(tmp_path / "none")}, tmp_path) is None


@pytest.mark.parametrize("spoil", ["others can read it", "no key", "bad name", "absent"])
def test_a_key_that_cannot_be_used_is_told_and_not_shown(keys: Path, tmp_path: Path, spoil: str) -> None:
    file = private_file(keys, "operator")
    environment = {"COORDINATOR_KEY_FILE": str(file)}
    if spoil == "others can read it":
        file.chmod(0o644)
    elif spoil == "no key":
        file.write_text("canary")
    elif spoil == "absent":
        file.unlink()
    else:
        environment["COORDINATOR_OPERATOR"] = "a/b"
    with pytest.raises(BadInput) as refused:
        operator_signer(environment, tmp_path)
    assert "canary" not in json.dumps(refused.value.problem)
    assert "COORDINATOR_KEY_FILE" in refused.value.problem["next_step"]


def test_every_call_of_a_command_is_signed_anew(
    keys: Path, coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBRAIN_STATE_DIR", str(keys.parent))
    coordinator.answers("GET /migrations/release-41", (200, run_record()))
    for _ in range(2):
        command("status", "release-41")
    one, other = coordinator.asked
    checks = verifier(keys)
    for asked in (one, other):
        assert checks.verify("GET", "/migrations/release-41", asked.headers.items(), b"").name == "operator"


def test_a_published_event_is_signed(keys: Path, tmp_path: Path) -> None:
    signer = operator_signer({}, tmp_path)
    assert signer is not None
    event = json.loads(json.dumps(event_of({"services": "all", "request_id": "r-1", "reason": "é"}, signer)))
    checks = EventVerifier(PublicKeys(public_folder(keys)), APP_ID, "migrate.requested")
    assert checks.verify({**event, "topic": "migrate.requested", "traceid": "1"}).name == "operator"


def test_a_signature_of_a_call_is_none_for_an_event(keys: Path, tmp_path: Path) -> None:
    signer = operator_signer({}, tmp_path)
    assert signer is not None
    headers = signer.sign(Call("POST", "/migrations", APP_ID, b"{}"))
    event = {"id": "1", "callsignatureinput": headers["signature-input"], "callsignature": headers["signature"]}
    with pytest.raises(Exception, match="signature"):
        EventVerifier(PublicKeys(public_folder(keys)), APP_ID, "migrate.requested").verify(event)
