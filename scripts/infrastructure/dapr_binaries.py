"""Puts a working Dapr into `<folder>/dapr` and `<folder>/.dapr/bin/`, from a cache of the user if possible."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.infrastructure import dapr_build, dapr_cache, dapr_sources
from scripts.infrastructure.dapr_sources import BINARIES, CLI_VERSION, MODULES, RUNTIME_VERSION, Say, machine, place
from scripts.infrastructure.errors import InfrastructureError

DAPRD = """#!/bin/sh
# dapr.yaml has no key for these two addresses, and without them daprd listens on every interface.
exec {daprd} --dapr-internal-grpc-listen-address 127.0.0.1 --metrics-listen-address 127.0.0.1 "$@"
"""


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the cache. It is outside the checkout, so that set-up of the next clone takes only seconds."""
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/")) / ".cache"
    return Path(home) / "rmbrain" / "dapr"


def cache_key() -> str:
    """Changes with the versions and with all files that determine the result of a download or a build."""
    files = sorted([*MODULES.glob("*/go.*"), dapr_sources.PINS])
    content = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    return f"{RUNTIME_VERSION}-{CLI_VERSION}-{machine()}-{content}"


def provide(say: Say, own: Path) -> dict[str, Path]:
    """The path of each program: an installed Dapr, a download, or a build. `own` takes what the cache must not.

    Raises InfrastructureError with all three reasons when none of them is possible.
    """
    installed = dapr_sources.installed()
    if installed is not None:
        say(f"using the Dapr that is installed: {installed['dapr']}, {installed['daprd']}")
        return installed
    parent = cache()
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    others = dapr_cache.exposed(parent)
    if others is not None:
        say(f"others may change {others}, so Dapr is put into {own} and not into the cache")
        parent = own
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    cached = parent / cache_key()
    with (parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _prepare(cached, say)
    return {binary.name: place(cached, binary.name) for binary in BINARIES}


def _prepare(cached: Path, say: Say) -> None:
    if cached.exists():
        why = dapr_cache.objection(cached, _programs(cached), dapr_sources.only_pinned())
        if why is None:
            return
        say(f"the Dapr in the cache is not used and made anew: {why}")
    _fill(cached, say)


def _fill(cached: Path, say: Say) -> None:
    """Fills a temporary folder and then renames it, so that the cache entry is complete or absent."""
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cached.parent))
    try:
        unpinned = _download_or_build(unfinished, say)
        for each in [unfinished, *unfinished.rglob("*")]:
            each.chmod(0o755)  # whatever the umask is, nobody else may write
        dapr_cache.record(unfinished, _programs(unfinished), unpinned)
        shutil.rmtree(cached, ignore_errors=True)
        unfinished.replace(cached)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _programs(folder: Path) -> list[Path]:
    return [place(folder, binary.name) for binary in BINARIES]


def _download_or_build(folder: Path, say: Say) -> list[str]:
    """Returns the names of the archives that no pin confirms."""
    try:
        unpinned = dapr_sources.download(folder, say)
    except OSError as reason:
        say(f"Dapr's release cannot be used ({reason}); building it with Go, which takes some minutes")
        try:
            dapr_build.build(folder, say)
        except InfrastructureError as error:
            raise InfrastructureError(
                f"There is no Dapr to use. None that fits is installed (runtime 1.18.2 or newer in ~/.dapr/bin, with "
                f"placement and scheduler); its release cannot be used ({reason}); and it cannot be built: "
                f"{error} Do one of the three and run ./scripts/setup again."
            ) from None
        return []
    if unpinned:
        say(f"compared only with the SHA-256 that the release itself publishes: {', '.join(unpinned)}")
    return unpinned


def link(programs: Mapping[str, Path], folder: Path) -> None:
    """Puts the programs into the folder. The name `daprd` must stay, because the CLI finds sidecars by it."""
    for name, program in programs.items():
        target = place(folder, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if name == "daprd":
            target.write_text(DAPRD.format(daprd=shlex.quote(str(program))))
            target.chmod(0o755)
        else:
            target.symlink_to(program)


def main() -> int:
    """Prepares Dapr in the folder that is the first argument. Called by scripts/setup; returns the exit code."""
    started = time.monotonic()

    def say(sentence: str) -> None:
        print(f"[{time.monotonic() - started:3.0f} s] {sentence}", flush=True)

    try:
        folder = Path(sys.argv[1])
        link(provide(say, folder / "own"), folder)
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
