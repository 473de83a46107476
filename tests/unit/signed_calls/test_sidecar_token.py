"""Which token a person's command shows to the sidecar."""

from __future__ import annotations

from pathlib import Path

import pytest

from signed_calls.sidecar_token import FILE, sidecar_token


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text("of the fleet\n")
    return tmp_path


def test_it_is_the_one_in_the_state_directory(state: Path) -> None:
    assert sidecar_token({}, state) == "of the fleet"


@pytest.mark.parametrize("said", ["of the shell", ""])
def test_what_the_shell_says_counts_more(state: Path, said: str) -> None:
    assert sidecar_token({"DAPR_API_TOKEN": said}, state) == said


def test_without_both_there_is_none(tmp_path: Path) -> None:
    assert sidecar_token({}, tmp_path) == ""


def test_a_file_that_is_no_token_is_none(state: Path) -> None:
    (state / FILE).write_bytes(b"\xff")
    assert sidecar_token({}, state) == ""
