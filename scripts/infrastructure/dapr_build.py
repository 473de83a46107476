"""Builds Dapr with Go, out of the sources that scripts/dapr/*/go.sum pins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.infrastructure.dapr_sources import BINARIES, MODULES, Say, place
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.inherited import inherited

REPORT_EVERY_SECONDS = 20
# A user may choose where modules come from and where Go keeps them; go.sum decides whether they are the right ones.
CHOSEN = ("GOPROXY", "GONOPROXY", "GOAUTH", "GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR")
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "NETRC", "SSH_AUTH_SOCK")
MACHINE = ("GOMAXPROCS", "GOMEMLIMIT")
# GOENV=off hides `go env -w`, GOWORK=off a go.work in a folder above: both could exchange flags, files and modules.
FIXED = {"GOENV": "off", "GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def build(into: Path, say: Say) -> None:
    """Builds all programs. Takes minutes when Go's cache is empty.

    Raises InfrastructureError when Go is missing or fails, or when a module is not the one of go.sum.
    """
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise InfrastructureError("Go (1.26 or newer) is not installed.")
    environment = go_environment(go)
    for number, binary in enumerate(BINARIES, start=1):
        target = place(into, binary.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [go, "build", "-buildvcs=false", "-mod=readonly", *binary.flags, "-o", str(target), binary.package]
        doing = f"building {binary.name} ({number} of {len(BINARIES)})"
        _run_with_progress(command, MODULES / binary.module, environment, doing, say)


def go_environment(go: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a build: nothing of the user's that could turn the comparison with go.sum off.

    GOFLAGS, GOSUMDB, GONOSUMDB, GOPRIVATE, GOINSECURE and all other Go settings have their defaults.
    """
    variables = os.environ if environment is None else environment
    answer = subprocess.run(
        [go, "env", "-json", *CHOSEN],
        env={**variables, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise InfrastructureError(f"`go env` failed: {answer.stderr.strip()[-1500:]}")
    chosen = {name: value for name, value in json.loads(answer.stdout).items() if value}
    return {**inherited((*NETWORK, *MACHINE), variables), **chosen, **FIXED}


def _run_with_progress(command: list[str], folder: Path, environment: Mapping[str, str], doing: str, say: Say) -> None:
    say(doing)
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
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
        raise InfrastructureError(f"`{' '.join(['go', *command[1:2], command[-1]])}` failed: {output.strip()[-1500:]}")
