"""A command by hand is to start about as soon as `alembic` does, so what it loads, and when, is held here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
{before}
try:
    from migration_sidecar.cli import main
    main()
except SystemExit:
    pass
print(json.dumps(list(sys.modules)))
"""
AT_LAUNCH = """
from migration_sidecar.forkserver import launcher
def launched(*_, **__):
    print(json.dumps(list(sys.modules)), flush=True)
    os._exit(0)
launcher.launch = launched
"""
COMMANDS = (["status"], ["plan"], ["upgrade", "head"], ["downgrade", "-1"], ["history"], ["adopt"])


def loaded(folder: Path, command: list[str], before: str = "") -> set[str]:
    """Nothing listens at that port, so every command ends soon."""
    (folder / "alembic").mkdir(exist_ok=True)
    (folder / "alembic" / "env.py").write_text("from migration_sidecar.environment import run\n")
    url = "postgresql+psycopg://ada@127.0.0.1:9/x"
    (folder / "alembic.ini").write_text(f"[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = {url}\n")
    program = PROGRAM.format(before=before)
    ended = subprocess.run([sys.executable, "-c", program, *command], cwd=folder, capture_output=True, text=True)
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_loads_neither_a_web_server_nor_what_its_child_needs(tmp_path: Path, command: list[str]) -> None:
    modules = loaded(tmp_path, command)
    assert "asyncpg" in modules, "it did not get as far as the engine"
    assert not modules & {"fastapi", "starlette", "uvicorn", "httpx", "sqlalchemy", "alembic"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_interpreter_starts_before_anything_heavy_is_loaded(tmp_path: Path, command: list[str]) -> None:
    modules = loaded(tmp_path, command, AT_LAUNCH)
    assert "typer" in modules
    assert not modules & {"asyncio", "asyncpg", "rich.console", "migration_sidecar.contract.messages"}
