"""docs/architecture.md lists the way of one operation call by call; a real one is followed and must go that way."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

import migration_sidecar
from migration_sidecar.api.routes import router
from migration_sidecar.contract.messages import Operation, OperationRequest
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations import execution, monitor
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.verdict import ReadBack, WorkerExit
from migration_sidecar.engine.operations.worker_run import WorkerRun
from migration_sidecar.http_server.proven_caller import CallPolicy
from migration_sidecar.protocol.attempt import Attempt
from signed_calls.settings import CallSettings
from tests.integration.migration_sidecar.environments import Environment, carry_out, request

PACKAGE = Path(migration_sidecar.__file__).parent
ARCHITECTURE = PACKAGE.parent / "docs" / "architecture.md"
STATION = re.compile(r"^\| (\d+) \| `([\w.]+)` \| (.+?) \|", re.MULTILINE)
IN_THE_WORKER = re.compile(r"^\| `(worker\.[\w.]+)` \| (.+?) \|", re.MULTILINE)
MOST_CHANGES, MOST_RETURNS = 16, 6

# In whatever form the operation is handed on: asked for, under way, stored, as one attempt, and how that ended.
FORMS = (Request, OperationRequest, OperationExecution, Operation, Attempt, WorkerRun, WorkerExit, ReadBack)
# What the operation is written in, what reads the body of any request, and the watcher in a task of its own.
NOT_ON_THE_WAY = ("contract.", "protocol.", "http_server.", "engine.operations.monitor._poll_until_cancelled")


class Way:
    """Every function of ours that is given the operation, in the order of first calls; properties only tell of it."""

    def __init__(self, operation_id: str) -> None:
        self._operation_id = operation_id
        self._seen: set[FrameType] = set()
        self.calls: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame in self._seen or not frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
            return
        self._seen.add(frame)  # a coroutine that goes on is called again
        module = ".".join(Path(frame.f_code.co_filename).relative_to(PACKAGE).with_suffix("").parts)
        function = frame.f_code.co_qualname
        if f"{module}.{function}".startswith(NOT_ON_THE_WAY) or "<" in function:
            return
        if self._is_given(frame) and not isinstance(named(module, function), property):
            self.calls.append((module, function))

    def _is_given(self, frame: FrameType) -> bool:
        return any(
            isinstance(each, FORMS) or each == self._operation_id or (isinstance(each, dict) and "attempt" in each)
            for each in arguments(frame)
        )

    @property
    def stations(self) -> list[tuple[str, list[str]]]:
        """Calls in one module after the other are one stop there."""
        grouped = groupby(self.calls, key=lambda call: call[0])
        return [(module, list(dict.fromkeys(function for _, function in calls))) for module, calls in grouped]


def arguments(frame: FrameType) -> Iterator[Any]:
    code: CodeType = frame.f_code
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        yield frame.f_locals.get(name)


def named(module: str, function: str) -> Any:
    found: Any = importlib.import_module(f"migration_sidecar.{module}")
    for part in function.split("."):
        found = vars(found)[part] if isinstance(found, type) else getattr(found, part)
    return found


@contextmanager
def followed(operation_id: str) -> Iterator[Way]:
    way = Way(operation_id)
    sys.setprofile(way)
    try:
        yield way
    finally:
        sys.setprofile(None)


def section() -> str:
    return ARCHITECTURE.read_text().partition("## The way of one operation\n")[2].partition("\n## ")[0]


def functions(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


@pytest.fixture
def documented() -> list[tuple[str, list[str]]]:
    return [(module, functions(cell)) for _, module, cell in STATION.findall(section())]


async def test_an_operation_goes_the_way_that_is_documented(
    environment: Environment,
    engine: Engine,
    documented: list[tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(execution, "FRESH_SECONDS", 60.0)  # however slow the machine is
    environment.revision("one")
    await carry_out(engine)
    environment.revision("two")
    await engine.revision_files.history()
    app, wanted = FastAPI(), request()
    app.state.engine, app.state.call_policy = engine, CallPolicy(CallSettings(required=False), "orders")
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        with followed(wanted.operation_id) as way:
            body = wanted.model_dump(mode="json")
            answer = await client.post("/migrations/operations", params={"wait_seconds": 20}, json=body)
    assert answer.json()["state"] == "succeeded"
    last = ("database.operations_table", "OperationsTable.save")
    way.calls = way.calls[: way.calls.index(last) + 1]
    written = "\n".join(
        f"| {number} | `{module}` | {', '.join(f'`{each}`' for each in names)} | |"
        for number, (module, names) in enumerate(way.stations, 1)
    )
    assert way.stations == documented, f"the way is now:\n{written}"


def test_the_way_is_short(documented: list[tuple[str, list[str]]]) -> None:
    modules = [module for module, _ in documented]
    assert len(modules) - 1 <= MOST_CHANGES
    assert len(modules) - len(set(modules)) <= MOST_RETURNS


def test_what_the_worker_does_is_called_what_the_document_calls_it() -> None:
    in_the_worker = IN_THE_WORKER.findall(section())
    assert len(in_the_worker) > 5
    for module, cell in in_the_worker:
        assert functions(cell)
        for function in functions(cell):
            assert callable(named(module, function))
