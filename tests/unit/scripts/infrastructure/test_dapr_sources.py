"""Which Dapr set-up takes: one that is installed and fits, else a release whose hash is right, else a build."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from pathlib import Path

import pytest

from scripts.infrastructure import dapr_binaries, dapr_build, dapr_pins, dapr_sources
from scripts.infrastructure.dapr_sources import BINARIES, place
from scripts.infrastructure.errors import InfrastructureError


def pretend(program: Path, says: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)


def install(home: Path, cli: str = "1.18.0", runtime: str = "1.18.3", without: str = "") -> dict[str, str]:
    pretend(home / "bin" / "dapr", f"CLI version: {cli} ")
    for name in {"daprd", "placement", "scheduler"} - {without}:
        pretend(home / ".dapr" / "bin" / name, runtime)
    return {"HOME": str(home), "PATH": f"{home / 'bin'}:/usr/bin:/bin"}


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        files.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, change: bytes = b"") -> None:
    """A release server; `change` is added to each archive after its hash was taken."""
    archives = {dapr_sources.url_of(each.archive("linux_amd64")): archive(each.name, b"binary") for each in BINARIES}
    hashes = {
        f"{url}.sha256": f"{hashlib.sha256(content).hexdigest()}  x".encode() for url, content in archives.items()
    }
    served = {url: content + change for url, content in archives.items()} | hashes
    monkeypatch.setattr(dapr_sources, "_fetch", served.__getitem__)
    monkeypatch.setattr(dapr_sources, "machine", lambda: "linux_amd64")
    monkeypatch.setattr(dapr_sources, "pins", dict)


def pin(monkeypatch: pytest.MonkeyPatch, **digests: str) -> None:
    """Pins the archives of these programs."""
    by_name = {each.name: each.archive("linux_amd64") for each in BINARIES}
    monkeypatch.setattr(dapr_sources, "pins", lambda: {by_name[name]: digest for name, digest in digests.items()})


def ignore(_: str) -> None:
    pass


def test_an_installed_dapr_that_fits_is_used_as_it_is(tmp_path: Path) -> None:
    found = dapr_sources.installed(install(tmp_path))
    assert found is not None
    assert found["dapr"] == tmp_path / "bin" / "dapr"
    assert found["scheduler"] == tmp_path / ".dapr" / "bin" / "scheduler"


@pytest.mark.parametrize(
    "other",
    [{"runtime": "1.18.1"}, {"runtime": "1.19.0"}, {"runtime": "edge"}, {"cli": "1.16.4"}, {"without": "scheduler"}],
)
def test_an_installed_dapr_that_does_not_fit_is_passed_over(tmp_path: Path, other: dict[str, str]) -> None:
    assert dapr_sources.installed(install(tmp_path, **other)) is None


def test_a_release_with_the_published_hash_is_unpacked_where_the_cli_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch)
    dapr_sources.download(tmp_path, ignore)
    for binary in BINARIES:
        assert place(tmp_path, binary.name).read_bytes() == b"binary"


def test_a_release_with_another_hash_is_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, change=b"!")
    with pytest.raises(OSError, match="does not have its published SHA-256"):
        dapr_sources.download(tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_pin_counts_more_than_what_the_release_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can exchange an archive of a release can exchange the hash beside it, too."""
    publish(monkeypatch)
    pin(monkeypatch, dapr="0" * 64)
    with pytest.raises(OSError, match=r"dapr_linux_amd64\.tar\.gz does not have its pinned SHA-256"):
        dapr_sources.download(tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_pinned_archive_is_taken_without_asking_the_release_for_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch)
    right = {each.name: hashlib.sha256(archive(each.name, b"binary")).hexdigest() for each in BINARIES}
    pin(monkeypatch, **right)
    monkeypatch.setattr(dapr_sources, "published_hash", {}.__getitem__)
    assert dapr_sources.download(tmp_path, ignore) == []


def test_archives_without_a_pin_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch)
    pin(monkeypatch, dapr=hashlib.sha256(archive("dapr", b"binary")).hexdigest())
    unpinned = dapr_sources.download(tmp_path, ignore)
    assert unpinned == [each.archive("linux_amd64") for each in BINARIES if each.name != "dapr"]


def test_who_wants_only_pinned_archives_gets_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch)
    monkeypatch.setenv("DAPR_ONLY_PINNED", "1")
    with pytest.raises(OSError, match=r"DAPR_ONLY_PINNED is set, and .* does not have .*daprd_linux_amd64"):
        dapr_sources.download(tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_hash_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dapr_sources, "_fetch", lambda _: b"<html> not found")
    with pytest.raises(OSError, match="holds no SHA-256"):
        dapr_sources.published_hash("dapr/v1/daprd_linux_amd64.tar.gz")


def test_the_pins_of_this_checkout_are_for_the_versions_that_it_uses() -> None:
    possible = {each.archive(machine) for each in BINARIES for machine in dapr_pins.MACHINES}
    assert dapr_sources.pins().keys() <= possible, "a pin of another version confirms nothing: take it out"
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in dapr_sources.pins().values())


def test_new_pins_are_what_the_releases_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "archives.sha256"
    file.write_text(f"# why\n{'1' * 64}  {BINARIES[0].archive('linux_amd64')}\n")
    monkeypatch.setattr(dapr_pins, "PINS", file)
    monkeypatch.setattr(dapr_pins, "published_hash", lambda archive: "2" * 64)
    assert dapr_pins.main() == 0
    digests = list(dapr_sources.pins(file).values())
    assert digests == ["1" * 64, *(["2" * 64] * 15)]


def test_where_nothing_works_one_sentence_names_all_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: str) -> bytes:
        raise OSError("no route")

    def no_compiler(*_: object) -> None:
        raise InfrastructureError("Go (1.26 or newer) is not installed.")

    monkeypatch.setattr(dapr_sources, "_fetch", unreachable)
    monkeypatch.setattr(dapr_build, "build", no_compiler)
    monkeypatch.setattr(dapr_sources, "installed", lambda: None)
    monkeypatch.setattr(dapr_binaries, "cache", lambda: tmp_path)
    with pytest.raises(InfrastructureError, match=r"installed .*used \(no route\).*Go \(1.26 or newer\)"):
        dapr_binaries.provide(ignore, tmp_path / "own")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"], "a half-made Dapr must not stay in the cache"


def test_sidecars_of_this_checkout_listen_on_loopback_only(tmp_path: Path) -> None:
    pretend(tmp_path / "real" / "daprd", '"$@"')
    dapr_binaries.link({"daprd": tmp_path / "real" / "daprd"}, tmp_path)
    started = (tmp_path / ".dapr" / "bin" / "daprd").read_text()
    assert f"exec {tmp_path}/real/daprd" in started
    assert "--dapr-internal-grpc-listen-address 127.0.0.1 --metrics-listen-address 127.0.0.1" in started
