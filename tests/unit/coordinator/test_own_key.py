"""The coordinator says at its start whether it signs its calls, and does not start with a key that others can read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from coordinator import app
from coordinator.settings import Settings
from signed_calls.key_folder import make_key, private_file
from signed_calls.keys import BadKey


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "coordinator.app"]


def test_with_a_key_it_signs_under_its_app_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_key(tmp_path, "migration-coordinator")
    monkeypatch.setenv("CALL_SIGNING_KEY_FILE", str(private_file(tmp_path, "migration-coordinator")))
    with caplog.at_level(logging.INFO, "coordinator"):
        signer = app._signer(Settings())
    assert signer is not None
    assert signer.key_id == key.key_id
    assert said(caplog) == ["calls_are_signed"]


@pytest.mark.parametrize(("signatures", "log"), [("required", ["calls_are_not_signed"]), ("off", [])])
def test_without_a_key_it_says_so_where_signatures_are_required(
    signatures: str, log: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CALL_SIGNATURES", signatures)
    with caplog.at_level(logging.INFO, "coordinator"):
        assert app._signer(Settings()) is None
    assert said(caplog) == log


def test_a_key_that_others_can_read_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path, "migration-coordinator")
    file = private_file(tmp_path, "migration-coordinator")
    file.chmod(0o644)
    monkeypatch.setenv("CALL_SIGNING_KEY_FILE", str(file))
    with pytest.raises(BadKey, match=r"migration-coordinator\.pem"):
        app._signer(Settings())
