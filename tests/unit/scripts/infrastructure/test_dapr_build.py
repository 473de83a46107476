"""A build with Go takes the sources that go.sum pins, whatever the user's Go settings say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.infrastructure import dapr_build
from scripts.infrastructure.errors import InfrastructureError

# What turns the comparison off or exchanges files, in the environment or with `go env -w`.
WEAKENING = {
    "GOFLAGS": "-modfile=/tmp/other.mod -toolexec=/tmp/tool",
    "GOSUMDB": "off",
    "GONOSUMDB": "*",
    "GONOSUMCHECK": "1",
    "GOPRIVATE": "*",
    "GOINSECURE": "*",
    "GOWORK": "/tmp/go.work",
}


def pretended_go(folder: Path, answer: str) -> str:
    go = folder / "go"
    go.write_text(f"#!/bin/sh\n{answer}\n")
    go.chmod(0o755)
    return str(go)


@pytest.fixture
def go() -> str:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        pytest.skip("Go is not installed")
    return found


def test_settings_that_would_weaken_the_comparison_do_not_reach_go(tmp_path: Path) -> None:
    go = pretended_go(tmp_path, "echo '{}'")
    environment = dapr_build.go_environment(go, {"PATH": "/bin", **WEAKENING})
    assert {name: environment.get(name) for name in WEAKENING} == {**dict.fromkeys(WEAKENING), "GOWORK": "off"}
    assert environment["GOENV"] == "off", "what `go env -w` wrote must not count either"


def test_a_chosen_proxy_is_kept_wherever_it_was_chosen(go: str, tmp_path: Path) -> None:
    user = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache")}
    chosen = "https://goproxy.example"
    assert dapr_build.go_environment(go, {**user, "GOPROXY": chosen})["GOPROXY"] == chosen
    file = tmp_path / "written"
    file.write_text(f"GOPROXY={chosen}\nGONOSUMDB=*\nGOFLAGS=-mod=mod\n")
    environment = dapr_build.go_environment(go, {**user, "GOENV": str(file)})
    assert environment["GOPROXY"] == chosen
    assert "GONOSUMDB" not in environment
    assert "GOFLAGS" not in environment


def test_every_build_has_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended_go(tmp_path, f"[ $1 = env ] && echo '{{}}' || env >> {tmp_path}/seen")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name, value in WEAKENING.items():
        monkeypatch.setenv(name, value)
    dapr_build.build(tmp_path / "into", lambda _: None)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen.count("GOENV=off") == 4
    assert {line.partition("=")[0] for line in seen} & WEAKENING.keys() == {"GOWORK"}


def test_what_go_says_against_a_build_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretended_go(tmp_path, "[ $1 = env ] && echo '{}' || { echo 'checksum mismatch'; exit 1; }")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InfrastructureError, match=r"go build github.com/dapr/cli` failed: checksum mismatch"):
        dapr_build.build(tmp_path / "into", lambda _: None)
