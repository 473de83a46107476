"""`python -m signed_calls`: keys are made, changed and retired, and one call is sent as a person may send it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from signed_calls import __main__ as command
from signed_calls.key_folder import public_folder
from signed_calls.keys import PublicKeys
from signed_calls.refusal import CallRefused
from signed_calls.verification import Verifier


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def run(keys: Path, *arguments: str) -> int:
    return command.main(["--keys", str(keys), *arguments])


def test_a_key_is_changed_and_the_old_one_is_good_until_it_is_retired(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(command.time, "sleep", slept.append)
    assert run(keys, "make", "cds-task") == 0
    old = capsys.readouterr().out.strip()
    assert run(keys, "change", "cds-task") == 0
    new = capsys.readouterr().out.strip()
    assert new != old
    assert slept == [2.0]  # everybody has seen the new key before the first call is signed with it
    public = PublicKeys(public_folder(keys))
    assert all(public.find(*key_id.split("/")) for key_id in (old, new))
    assert run(keys, "retire", "cds-task") == 0
    assert f"{old}.pub" in capsys.readouterr().out
    public = PublicKeys(public_folder(keys))
    assert [bool(public.find(*key_id.split("/"))) for key_id in (old, new)] == [False, True]


@pytest.fixture
def service(keys: Path) -> Iterator[str]:
    """Answers who has called, or why not."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            target = self.path.removeprefix("/v1.0/invoke/cds-client/method")
            if target == "/moved":
                self.send_response(307)
                self.send_header("location", "/elsewhere")
                self.end_headers()
                return
            try:
                verifier = Verifier(PublicKeys(public_folder(keys)), "cds-client")
                status, said = 200, verifier.verify(self.command, target, self.headers.items(), body).name
            except CallRefused as refused:
                status, said = 401, str(refused.kind)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"said": said, "type": self.headers["content-type"]}).encode())

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - as BaseHTTPRequestHandler calls them

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/migrations/operations?wait_seconds=5", ["--to", "cds-client", "--data", '{"a": "é"}']),
        ("DELETE", "/migrations/operations/release-41.1", ["--to", "cds-client"]),
        ("DELETE", "/v1.0/invoke/cds-client/method/migrations/operations/release-41.1", []),
        ("GET", "/migrations/plan?target=a%40head", ["--to", "cds-client"]),
    ],
)
def test_a_call_is_the_operators(
    keys: Path, service: str, capsys: pytest.CaptureFixture[str], method: str, path: str, more: list[str]
) -> None:
    run(keys, "make", "operator")
    capsys.readouterr()
    assert run(keys, "call", method, f"{service}{path}", *more) == 0
    assert json.loads(capsys.readouterr().out) == {"said": "operator", "type": "application/json"}


def test_a_call_that_is_refused_shows_the_answer_and_fails(
    keys: Path, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(keys, "make", "operator")
    assert run(keys, "call", "POST", f"{service}/migrations", "--to", "cds-task") == 1
    assert "other_audience" in capsys.readouterr().out
    assert run(keys, "call", "GET", f"{service}/moved", "--to", "cds-client") == 1


def test_what_cannot_be_sent_is_one_sentence(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["call", "GET", "http://127.0.0.1:1/migrations"],
        ["call", "GET", "http://127.0.0.1:1/migrations", "--to", "a"],
        ["call", "GET", "http://127.0.0.1:1/", "--to", "a", "--as", "../operator"],
        ["make", "../operator"],
        ["retire", "nobody"],
    ):
        assert run(keys, *arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(keys.glob("**/*.pem"))
