"""What is in the user's cache is used only as long as it is what set-up put there, and nobody else can change it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.infrastructure import dapr_binaries, dapr_cache, dapr_sources
from scripts.infrastructure.dapr_sources import BINARIES, place

Attack = Callable[[Path], object]


class Source:
    """A release that counts how often it is asked."""

    def __init__(self) -> None:
        self.downloads = 0
        self.unpinned: list[str] = []

    def download(self, into: Path, _: object) -> list[str]:
        self.downloads += 1
        for binary in BINARIES:
            target = place(into, binary.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"good")
        return self.unpinned


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Source:
    source = Source()
    monkeypatch.setattr(dapr_sources, "download", source.download)
    monkeypatch.setattr(dapr_sources, "installed", lambda: None)
    monkeypatch.setattr(dapr_binaries, "cache", lambda: tmp_path / "cache")
    return source


def provide(folder: Path) -> tuple[dict[str, Path], list[str]]:
    said: list[str] = []
    return dapr_binaries.provide(said.append, folder / "own"), said


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path: Path, source: Source) -> None:
    first, _ = provide(tmp_path)
    second, said = provide(tmp_path)
    assert (second, said, source.downloads) == (first, [], 1)


def test_whatever_the_umask_is_nobody_else_can_write_into_an_entry(tmp_path: Path, source: Source) -> None:
    before = os.umask(0)
    try:
        provide(tmp_path)
    finally:
        os.umask(before)
    provide(tmp_path)
    assert source.downloads == 1
    assert not [each for each in (tmp_path / "cache").glob("*-*/**/*") if each.stat().st_mode & 0o022]


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (lambda daprd: daprd.write_bytes(b"evil"), "is not what set-up put there"),
        (lambda daprd: daprd.unlink(), "is not what set-up put there"),
        (lambda daprd: daprd.chmod(0o777), "others may write to it"),
        (lambda daprd: daprd.parent.chmod(0o775), "others may write to it"),
        (lambda daprd: (daprd.unlink(), daprd.symlink_to("/bin/true")), "is a link"),
        (lambda daprd: (daprd.parents[2] / dapr_cache.RECORD).unlink(), "cannot be read"),
        (lambda daprd: (daprd.parents[2] / dapr_cache.RECORD).write_text("[]"), "cannot be read"),
    ],
)
def test_an_entry_that_somebody_could_have_changed_is_made_anew(
    tmp_path: Path, source: Source, attack: Attack, why: str
) -> None:
    programs, _ = provide(tmp_path)
    attack(programs["daprd"])
    programs, said = provide(tmp_path)
    assert source.downloads == 2
    assert why in said[0]
    assert programs["daprd"].read_bytes() == b"good"
    assert not programs["daprd"].is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_an_entry_of_another_user_is_not_used(tmp_path: Path, source: Source) -> None:
    programs, _ = provide(tmp_path)
    os.chown(programs["daprd"], 65534, 65534)
    _, said = provide(tmp_path)
    assert "belongs to another user" in said[0]


def test_where_others_may_write_above_the_cache_it_is_not_used_at_all(tmp_path: Path, source: Source) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    programs, said = provide(tmp_path)
    assert programs["daprd"].is_relative_to(tmp_path / "own")
    assert str(tmp_path / "cache") in said[0]


def test_a_folder_as_tmp_is_no_danger_to_what_is_our_own_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "as-tmp" / "ours"
    folder.mkdir(parents=True)
    (tmp_path / "as-tmp").chmod(0o1777)
    assert dapr_cache.exposed(folder) is None
    (tmp_path / "as-tmp").chmod(0o777)
    assert dapr_cache.exposed(folder) == tmp_path / "as-tmp"


def test_who_wants_only_pinned_archives_does_not_get_another_from_the_cache(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.unpinned = ["dapr/v1/daprd_linux_amd64.tar.gz"]
    _, said = provide(tmp_path)
    assert said == [
        "compared only with the SHA-256 that the release itself publishes: dapr/v1/daprd_linux_amd64.tar.gz"
    ]
    monkeypatch.setenv("DAPR_ONLY_PINNED", "1")
    source.unpinned = []
    _, said = provide(tmp_path)
    assert "no pin confirms dapr/v1/daprd_linux_amd64.tar.gz" in said[0]
    assert source.downloads == 2
