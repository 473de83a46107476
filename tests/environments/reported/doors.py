"""The doors that a step is taken through: bare Alembic, our command line, our endpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from time import monotonic, sleep
from typing import Any, Protocol
from uuid import uuid4

import httpx
from psutil import STATUS_ZOMBIE, Process

from scripts.infrastructure import ports
from tests.environments.reported.project import Project

LIMIT_SECONDS = 120.0
START_SECONDS = 60.0
STILL_LOADING = "CM-308"


class Door(Protocol):
    """`faults` are what no answer may be, whatever it says."""

    faults: list[str]

    def status(self) -> str: ...

    def plan(self, target: str) -> bool:
        """Whether it sees no obstacle."""

    def migrate(self, action: str, target: str) -> tuple[bool, str]:
        """Whether it was done, and everything that was said."""


@dataclass
class BareAlembic:
    project: Project
    faults: list[str] = field(default_factory=list)

    def status(self) -> str:
        return ""

    def plan(self, target: str) -> bool:
        return True

    def migrate(self, action: str, target: str) -> tuple[bool, str]:
        return self.run(action, target)

    def run(self, *words: str) -> tuple[bool, str]:
        code, printed, beside = self.project.run("alembic", "-c", self.project.case.config(), *words)
        return code == 0, printed + beside


@dataclass
class CommandLine:
    project: Project
    faults: list[str] = field(default_factory=list)

    def status(self) -> str:
        return str(self._document("status")[1].get("state"))

    def plan(self, target: str) -> bool:
        return self._document("plan", target)[0] == 0

    def migrate(self, action: str, target: str) -> tuple[bool, str]:
        code, printed, beside = self._run(action, target)
        if code != 0:
            self._document(action, target)  # a refusal is one document, too
        return code == 0, printed + beside

    def _run(self, *words: str) -> tuple[int, str, str]:
        code, printed, beside = self.project.run("migration-sidecar", *words, *self.project.options())
        if "Traceback" in printed + beside:
            self.faults.append(f"{' '.join(words)} printed a traceback:\n{(printed + beside)[-1500:]}")
        return code, printed, beside

    def _document(self, *words: str) -> tuple[int, dict[str, Any]]:
        code, printed, beside = self._run(*words, "--json")
        try:
            document = json.loads(printed)
        except ValueError:
            self.faults.append(f"{' '.join(words)} --json printed no JSON: {printed[-300:]!r} {beside[-600:]}")
            return code, {}
        return code, document


@dataclass
class Endpoint:
    client: httpx.Client
    project: Project
    faults: list[str] = field(default_factory=list)

    def status(self) -> str:
        return str(self._ask("GET", "/migrations")[1].get("state"))

    def plan(self, target: str) -> bool:
        answer, document = self._ask("GET", f"/migrations/plan?target={target}")
        return answer.is_success and not document.get("obstacles")

    def migrate(self, action: str, target: str) -> tuple[bool, str]:
        target = self.project.case.target(target)
        operation = {"operation_id": f"{action}-{uuid4()}", "action": action, "target": target}
        _, document = self._ask("POST", "/migrations/operations?wait_seconds=20", operation)
        end = monotonic() + LIMIT_SECONDS
        while document.get("state") in ("accepted", "running") and monotonic() < end:
            _, document = self._ask("GET", f"/migrations/operations/{operation['operation_id']}?wait_seconds=20")
        return document.get("state") == "succeeded", " ".join(_words(document))

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[httpx.Response, dict[str, Any]]:
        """Asks again while it loads, which on a busy machine takes longer than it waits."""
        end = monotonic() + LIMIT_SECONDS
        while True:
            answer = self.client.request(method, path, json=body)
            document = self._document(answer)
            if STILL_LOADING not in answer.text or monotonic() > end:
                return answer, document
            sleep(0.2)

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code == 500:
            self.faults.append(f"{answer.request.method} {answer.request.url.path}: 500 {answer.text[-1500:]}")
        try:
            document = answer.json()
        except ValueError:
            self.faults.append(f"{answer.request.method} {answer.request.url.path}: no JSON: {answer.text[-600:]!r}")
            return {}
        return document if isinstance(document, dict) else {}


@dataclass
class NoEndpoint:
    """A server that refused to start: that is a refusal of everything."""

    said: str
    faults: list[str] = field(default_factory=list)

    def status(self) -> str:
        return ""

    def plan(self, target: str) -> bool:
        return False

    def migrate(self, action: str, target: str) -> tuple[bool, str]:
        return False, self.said


def _words(document: Any) -> Iterator[str]:
    """Every text in it, as a reader sees it."""
    if isinstance(document, dict):
        for each in document.values():
            yield from _words(each)
    elif isinstance(document, list):
        for each in document:
            yield from _words(each)
    elif document is not None:
        yield str(document)


@contextmanager
def opened(way: str, project: Project) -> Iterator[Door]:
    """`way` is bare, command-line or endpoint."""
    if way == "endpoint":
        with _served(project) as endpoint:
            yield endpoint
    else:
        yield BareAlembic(project) if way == "bare" else CommandLine(project)


@contextmanager
def _served(project: Project) -> Iterator[Door]:
    port = ports.choose(1)[0]
    words = ["serve", "--port", str(port), *project.options()]
    pid, printed, beside = project.begin("migration-sidecar", *words, MIGRATE_ON_STARTUP="off")
    door: Door = NoEndpoint("")
    try:
        with httpx.Client(base_url=f"http://{ports.LOOPBACK}:{port}", timeout=LIMIT_SECONDS) as client:
            door = Endpoint(client, project) if _answers(client, pid) else NoEndpoint(_read(printed, beside))
            yield door
    finally:
        os.kill(pid, SIGTERM)
        project.nurseries.here().wait(pid)
        if "Traceback" in (log := _read(printed, beside)):
            door.faults.append(f"serve logged a traceback:\n{log[-1500:]}")


def _answers(client: httpx.Client, pid: int) -> bool:
    end = monotonic() + START_SECONDS
    while monotonic() < end and Process(pid).status() != STATUS_ZOMBIE:
        try:
            if client.get("/healthz").status_code == 200:
                return True
        except httpx.TransportError:
            sleep(0.05)
    return False


def _read(*files: Path) -> str:
    return "".join(file.read_text(errors="replace") for file in files)
