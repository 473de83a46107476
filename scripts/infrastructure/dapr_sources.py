"""Dapr's programs, and two of their sources: an installed Dapr and a downloaded release. The third is `dapr_build`."""

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
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.settings import ROOT

RUNTIME_VERSION = "1.18.2"
CLI_VERSION = "1.16.5"
CONNECT_TIMEOUT_SECONDS = 5
RELEASES = "https://github.com/dapr"
MODULES = ROOT / "scripts" / "dapr"
PINS = MODULES / "archives.sha256"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Binary:
    """One program: where its release archive is, and how Go builds it."""

    name: str
    release: str  # repository and version
    module: str
    package: str
    flags: tuple[str, ...]

    def archive(self, machine: str) -> str:
        """Its name in archives.sha256."""
        return f"{self.release}/{self.name}_{machine}.tar.gz"


_RUNTIME_RELEASE = f"dapr/v{RUNTIME_VERSION}"
# Without a version daprd calls itself "edge", and `dapr run` then passes it no scheduler address.
_RUNTIME_FLAGS = ("-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={RUNTIME_VERSION}")
_CLI_FLAGS = ("-ldflags", f"-s -w -X main.version={CLI_VERSION} -X main.apiVersion=1.0")
BINARIES = (
    Binary("dapr", f"cli/v{CLI_VERSION}", "cli", "github.com/dapr/cli", _CLI_FLAGS),
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


def pins(file: Path = PINS) -> dict[str, str]:
    """The SHA-256 of each archive that is pinned in this checkout, by the archive's name."""
    rows = (line.split() for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in rows}


def only_pinned(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user refuses archives that are not pinned."""
    return environment.get("DAPR_ONLY_PINNED", "") not in ("", "0")


def download(into: Path, say: Say) -> list[str]:
    """Returns the names of the archives that no pin confirms.

    Raises OSError when a server does not answer, or when an archive does not have its SHA-256.
    """
    known = pins()
    archives = {binary.name: binary.archive(machine()) for binary in BINARIES}
    unpinned = [archive for archive in archives.values() if archive not in known]
    if unpinned and only_pinned():
        raise OSError(f"DAPR_ONLY_PINNED is set, and scripts/dapr/archives.sha256 does not have {', '.join(unpinned)}")
    for name, archive in archives.items():
        url = url_of(archive)
        say(f"downloading {url}")
        expected = known.get(archive) or published_hash(archive)
        content = _fetch(url)
        if hashlib.sha256(content).hexdigest() != expected:
            raise OSError(f"{url} does not have its {'pinned' if archive in known else 'published'} SHA-256")
        _unpack(content, name, place(into, name))
    return unpinned


def url_of(archive: str) -> str:
    """Where the release has this archive."""
    repository, version, file = archive.split("/")
    return f"{RELEASES}/{repository}/releases/download/{version}/{file}"


def published_hash(archive: str) -> str:
    """The SHA-256 that the release itself publishes. It proves nothing against whoever can change the release."""
    digest = _fetch(f"{url_of(archive)}.sha256").split()[0].decode()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise OSError(f"{url_of(archive)}.sha256 holds no SHA-256")
    return digest


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
