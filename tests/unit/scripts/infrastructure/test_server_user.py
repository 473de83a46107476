"""Which user id a server runs under."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.infrastructure.errors import NoServerUser
from scripts.infrastructure.server_user import POSTGRES_USER, REDIS_USER, ServerUser


def test_who_is_not_root_starts_servers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert POSTGRES_USER.started_as(["postgres", "-D", "data"]) == ["postgres", "-D", "data"]
    assert POSTGRES_USER.path(Path("/data")) == "/data"
    program = Path("/no/such/program")
    POSTGRES_USER.demand(program, [program.parent])
    assert POSTGRES_USER.program(program, [program.parent]) == program


def test_each_server_has_another_user_and_none_is_one_that_containers_do_not_know() -> None:
    numbers = {POSTGRES_USER.number, REDIS_USER.number}
    assert len(numbers) == 2
    assert all(0 < number < 65_534 for number in numbers)


def test_root_is_told_in_one_sentence_why_a_server_cannot_be_another_user_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(ServerUser, "started_as", lambda _, command: ["sh", "-c", "echo no entry >&2; exit 1"])
    program = tmp_path / "postgres"
    program.touch()
    monkeypatch.setattr("scripts.infrastructure.server_user.copy_for_others", lambda *_: None)
    with pytest.raises(NoServerUser, match=r"never run as root.* as user 61432 here: no entry\. Start this as"):
        POSTGRES_USER.demand(program, [tmp_path])
