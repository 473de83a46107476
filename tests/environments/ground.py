"""What the journeys stand on: PostgreSQL servers of several versions, and interpreters that lack our package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer

REQUIREMENTS = Path(__file__).parent / "requirements"
UV = Path(sysconfig.get_path("scripts")) / "uv"
LOCALE_BEFORE_17 = ("--locale=C",)
# Where Debian, Red Hat and Homebrew put a server; ours of 18 and 16 come from wheels.
INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
OLDEST_PYTHON, NEWEST_PYTHON = 9, 13  # the minor versions that the locked files have wheels for


@contextmanager
def server(folder: Path, programs: Path | None = None) -> Iterator[PostgresServer]:
    """Without `programs` it is the one of this checkout."""
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    # PostgreSQL before 16 leaves its folder when it starts, and a user of its own could not enter it again.
    others = {"programs": programs, "locale": LOCALE_BEFORE_17, "keeps_our_rights": True} if programs else {}
    running = PostgresServer(folder, address, durable=False, dies_with_us=True, **others)  # type: ignore[arg-type]
    try:
        running.start()
        yield running
    finally:
        running.stop()


def postgres_16(folder: Path) -> Path:
    """The programs of a wheel; it is unpacked beside this environment, which has a wheel of another version."""
    lock = REQUIREMENTS / "postgres16.lock"
    # The programs need no Python, so any build of the wheel will do: this one whatever runs the tests.
    any_build = ("--python-version", "3.12", "--no-deps", "--require-hashes")
    _uv("pip", "install", *any_build, "--target", str(folder), "-r", str(lock))
    return folder / "pgserver" / "pginstall" / "bin"


def installed() -> dict[int, Path]:
    """Major version -> programs, for whatever this machine has of PostgreSQL 14 or newer beside 16 and 18."""
    found = {}
    for pattern in INSTALLED:
        for folder in Path("/").glob(pattern.lstrip("/")):
            if (folder / "initdb").exists():
                major = int(_said(str(folder / "postgres"), "--version").split()[2].split(".")[0])
                found[major] = folder
    return {major: folder for major, folder in found.items() if major >= 14 and major not in (16, 18)}


def pythons() -> dict[int, Path]:
    """Minor version -> program, for each Python that this machine has; the one that runs the tests among them."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: dict[int, Path] = {}
    for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1):
        on_path = shutil.which(f"python3.{minor}")
        for program in [*versions.glob(f"3.{minor}.*/bin/python"), *([Path(on_path)] if on_path else [])]:
            # A shim may stand for a version that is not there, and a Python may lack what Debian packs apart.
            if subprocess.run([program, "-c", "import ssl, ctypes"], capture_output=True, check=False).returncode == 0:
                found[minor] = program
                break
    return found | {sys.version_info.minor: Path(sys.executable)}


def interpreter(folder: Path, lock: str) -> Path:
    """A Python with Alembic, SQLAlchemy and drivers as the lock file has them, and nothing of ours.

    `lock` is oldest or newest, which are also that of the Python, or drivers: every driver, in the Python of the tests.
    """
    found = pythons()
    if lock == "drivers":
        program = Path(sys.executable)
    else:
        program = found[min(found) if lock.endswith("oldest") else max(found)]
    _uv("venv", "--quiet", "--python", str(program), str(folder))
    python = folder / "bin" / "python"
    locked = ("--require-hashes", "-r", str(REQUIREMENTS / f"{lock}.lock"))
    _uv("pip", "install", "--compile-bytecode", "--python", str(python), *locked)
    return python


def _uv(*words: str) -> None:
    done = subprocess.run([str(UV), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"uv {' '.join(words)}\n{done.stderr}")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
