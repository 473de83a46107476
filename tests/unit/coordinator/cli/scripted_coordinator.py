"""A real HTTP server that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Reply = tuple[int, Any]  # an Any that is bytes is sent as it is; a status of 0 hangs up without an answer


@dataclass
class Asked:
    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedCoordinator:
    """Answers each route with its replies in turn; the last one is repeated."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _replies: dict[str, deque[Reply]] = field(default_factory=lambda: defaultdict(deque))

    def answers(self, route: str, *replies: Reply) -> None:
        self._replies[route] = deque(replies)

    def reply_to(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        replies = self._replies[f"{asked.method} {asked.path}"]
        if not replies:
            return 404, problem("CM-604", "There is no such run")
        return replies.popleft() if len(replies) > 1 else replies[0]


def problem(code: str, title: str, **facts: Any) -> dict[str, Any]:
    return {"code": code, "title": title, "detail": "because", "next_step": "do this", "retryable": False, **facts}


def run_record(state: str = "succeeded", *steps: dict[str, Any], **facts: Any) -> dict[str, Any]:
    request = {"services": "all", "requested_by": "release-bot", "reason": "release 41"}
    record = {"request_id": "release-41", "state": state, "request": request, "steps": list(steps), "error": None}
    return record | {"accepted_at": "2026-11-22T15:00:00Z", "started_at": None, "finished_at": None} | facts


def step(service: str, state: str, **facts: Any) -> dict[str, Any]:
    plain = {"service": service, "database": service.replace("-", "_"), "state": state, "applied": [], "error": None}
    return plain | {"from_revisions": [], "to_revisions": ["0c3"], "duration_ms": None, "started_at": None} | facts


@contextmanager
def scripted_coordinator() -> Iterator[ScriptedCoordinator]:
    script = ScriptedCoordinator()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()


def _handler(script: ScriptedCoordinator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Asked(
                self.command,
                address.path,
                dict(parse_qsl(address.query)),
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(body) if body else None,
            )
            status, document = script.reply_to(asked)
            if status:
                self._send(status, document if isinstance(document, bytes) else json.dumps(document).encode())

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *arguments: Any) -> None:
            """A test's output is not the place for an access log."""

    return Handler
