"""The parent's end of a migration process, where the process is gone before it said anything."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from migration_sidecar.forkserver.client import WorkerProcess

EXITED = {"event": "exited", "code": None, "signal": 9}


@pytest.mark.parametrize("first_line", [b"", b'{"event": "proc'])
async def test_of_a_process_killed_before_its_first_line_only_its_end_is_told(first_line: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(first_line + b"\n" + json.dumps(EXITED).encode() + b"\n")
    process = WorkerProcess(*await asyncio.open_connection(sock=ours))
    await process.read_pid()
    assert process.has_exited
    assert [report async for report in process.reports()] == [EXITED]
    process.close()
