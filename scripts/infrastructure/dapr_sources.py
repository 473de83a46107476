"""The three sources of Dapr: an installed one, a downloaded release, or a build with Go."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.settings import ROOT

RUNTIME_VERSION = "1.18.2"
CLI_VERSION = "1.16.5"
CONNECT_TIMEOUT_SECONDS = 5
REPORT_EVERY_SECONDS = 20
MODULES = ROOT / "scripts" / "dapr"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Binary:
    """One program: where its release archive is, and how Go builds it."""

    name: str
    release: str
    module: str
    package: str
    flags: tuple[str, ...]


_RUNTIME_RELEASE = f"https://github.com/dapr/dapr/releases/download/v{RUNTIME_VERSION}"
# Without a version daprd calls itself "edge", and `dapr run` then passes it no scheduler address.
_RUNTIME_FLAGS = ("-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={RUNTIME_VERSION}")
_CLI_FLAGS = ("-ldflags", f"-s -w -X main.version={CLI_VERSION} -X main.apiVersion=1.0")
BINARIES = (
    Binary(
        "dapr",
        f"https://github.com/dapr/cli/releases/download/v{CLI_VERSION}",
        "cli",
        "github.com/dapr/cli",
        _CLI_FLAGS,
    ),
    Binary("placement", _RUNTIME_RELEASE, "runtime", "github.com/dapr/dapr/cmd/placement", _RUNTIME_FLAGS),
    Binary("scheduler", _RUNTIME_RELEASE, "runtime", "github.com/dapr/dapr/cmd/scheduler", _RUNTIME_FLAGS),
    # As in the official release; without this tag it contains no components.
    Binary(
        "daprd",
        _RUNTIME_RELEASE,
        "runtime",
        "github.com/dapr/dapr/cmd/daprd",
        ("-tags", "allcomponents", *_RUNTIME_FLAGS),
    ),
)


def place(folder: Path, name: str) -> Path:
    """Where the CLI expects this program, if DAPR_RUNTIME_PATH is the folder."""
    return folder / "dapr" if name == "dapr" else folder / ".dapr" / "bin" / name


def machine() -> str:
    """The name of this platform in Dapr's releases."""
    processor = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}_{processor}"


def installed(environment: Mapping[str, str] = os.environ) -> dict[str, Path] | None:
    """The programs of a Dapr that the user installed, if all have a supported version; otherwise None."""
    runtime = Path(environment.get("DAPR_RUNTIME_PATH") or environment.get("HOME", "/")) / ".dapr" / "bin"
    venv = Path(sys.prefix).resolve()
    folders = [folder for folder in environment.get("PATH", "").split(os.pathsep) if not _within(folder, venv)]
    cli = shutil.which("dapr", path=os.pathsep.join([*folders, str(runtime)]))
    if cli is None:
        return None
    programs = {"dapr": Path(cli), **{each.name: runtime / each.name for each in BINARIES if each.name != "dapr"}}
    suitable = (1, 16, 5) <= version(programs["dapr"]) < (1, 19) and all(
        (1, 18, 2) <= version(path) < (1, 19) for name, path in programs.items() if name != "dapr"
    )
    return programs if suitable else None


def version(program: Path) -> tuple[int, ...]:
    """The version number that the program prints, or () when it prints none."""
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    number = re.search(r"(\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in number.groups()) if number else ()


def _within(folder: str, parent: Path) -> bool:
    return bool(folder) and Path(folder).resolve().is_relative_to(parent)


def download(into: Path, say: Say) -> None:
    """Raises OSError when a server does not answer, or when an archive does not have its published SHA-256."""
    for binary in BINARIES:
        url = f"{binary.release}/{binary.name}_{machine()}.tar.gz"
        expected = _fetch(f"{url}.sha256").split()[0].decode()
        say(f"downloading {url}")
        archive = _fetch(url)
        if hashlib.sha256(archive).hexdigest() != expected:
            raise OSError(f"{url} does not have its published SHA-256")
        _unpack(archive, binary.name, place(into, binary.name))


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read()
        return content


def _unpack(archive: bytes, name: str, target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = next((each for each in files if Path(each.name).name == name and each.isfile()), None)
        content = files.extractfile(member) if member else None
        if content is None:
            raise OSError(f"its archive holds no {name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read())
        target.chmod(0o755)


def build(into: Path, say: Say) -> None:
    """Builds all programs with Go, respecting the user's Go settings. Takes minutes when Go's cache is empty.

    Raises InfrastructureError when Go is missing or fails.
    """
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise InfrastructureError("Go (1.26 or newer) is not installed.")
    for number, binary in enumerate(BINARIES, start=1):
        target = place(into, binary.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [go, "build", "-buildvcs=false", "-mod=readonly", *binary.flags, "-o", str(target), binary.package]
        _run_with_progress(command, binary, f"building {binary.name} ({number} of {len(BINARIES)})", say)


def _run_with_progress(command: list[str], binary: Binary, doing: str, say: Say) -> None:
    say(doing)
    started = time.monotonic()
    environment = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    with subprocess.Popen(
        command,
        cwd=MODULES / binary.module,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as compiler:
        while True:
            try:
                output, _ = compiler.communicate(timeout=REPORT_EVERY_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"{doing}, {time.monotonic() - started:.0f} s so far")
            except BaseException:
                compiler.terminate()
                raise
    if compiler.returncode != 0:
        raise InfrastructureError(f"`go build {binary.package}` failed: {output.strip()[-1500:]}")
