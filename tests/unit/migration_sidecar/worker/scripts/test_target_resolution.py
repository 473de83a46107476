"""What a person writes as a target becomes one that means the same however often it is used."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.contract.messages import Action
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.history_loader import load_history
from migration_sidecar.worker.scripts.target_resolution import resolve

# Two branches that meet again, and a second root that depends on the first.
FILES = {
    "aaaa1": (None, None, None),
    "bbbb1": ("aaaa1", "left", None),
    "bbbb2": ("bbbb1", None, None),
    "cccc1": ("aaaa1", "right", None),
    "cccc2": ("cccc1", None, None),
    "eeee1": (None, "other", "aaaa1"),
    "eeee2": ("eeee1", None, None),
}


LINES = [
    (revision, [down] if down else [], [depends_on] if depends_on else [], [label] if label else [])
    for revision, (down, label, depends_on) in FILES.items()
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("environment")
    (folder / "versions").mkdir()
    (folder / "env.py").write_text("")
    for revision, (down, label, depends_on) in FILES.items():
        (folder / "versions" / f"{revision}.py").write_text(
            f"revision = {revision!r}\ndown_revision = {down!r}\nbranch_labels = {label!r}\n"
            f"depends_on = {depends_on!r}\n\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
        )
    return config_of(folder)


def config_of(folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


@pytest.mark.parametrize(
    ("action", "rows", "typed", "absolute"),
    [
        ("upgrade", [], "left@head", "bbbb2"),
        ("upgrade", [], "left@heads", "bbbb2"),
        ("upgrade", [], "aaaa1@heads", "aaaa1@heads"),
        ("upgrade", [], "aaaa@heads", "aaaa1@heads"),
        ("upgrade", [], "bbbb1@head", "bbbb2"),
        ("upgrade", [], "left@bbbb1", "bbbb1"),
        ("upgrade", [], "cccc2", "cccc2"),
        ("upgrade", ["bbbb1"], "+1", "bbbb2"),
        ("upgrade", ["aaaa1"], "left@+1", "bbbb1"),
        ("upgrade", ["aaaa1"], "right@+2", "cccc2"),
        ("upgrade", ["bbbb2", "cccc1"], "right@+1", "cccc2"),
        ("upgrade", [], "cccc1+1", "cccc2"),
        ("upgrade", [], "cccc2-1", "cccc1"),
        ("downgrade", ["bbbb2"], "-1", "bbbb1"),
        ("downgrade", ["bbbb2"], "-3", "base"),
        ("downgrade", ["bbbb2", "cccc2"], "left@-1", "bbbb1"),
        ("downgrade", ["bbbb2", "cccc2"], "bbbb2@-2", "bbbb2@aaaa1"),
        ("downgrade", ["bbbb2", "cccc2"], "cccc2-1", "cccc1"),
        ("downgrade", ["bbbb2", "cccc2"], "cccc1", "cccc1"),
        ("downgrade", ["bbbb2", "cccc2", "eeee2"], "other@base", "other@base"),
        ("downgrade", ["eeee2"], "other@-1", "eeee1"),
        ("downgrade", ["bbbb2"], "base", "base"),
    ],
)
def test_a_target_is_taken_as_alembic_takes_it(action: str, rows: list[str], typed: str, absolute: str) -> None:
    assert resolve(LINES, action, typed, rows)["target"] == absolute


@pytest.mark.parametrize(
    ("action", "rows", "typed"),
    [
        ("upgrade", [], "aaaa1@heads"),
        ("upgrade", ["aaaa1"], "left@+1"),
        ("downgrade", ["bbbb2", "cccc2"], "bbbb2@-2"),
        ("downgrade", ["bbbb2", "cccc2", "eeee2"], "other@base"),
        ("downgrade", ["bbbb2", "cccc2", "eeee2"], "base"),
    ],
)
def test_our_own_reading_of_the_history_finds_the_same_way(
    action: str, rows: list[str], typed: str, config: Config
) -> None:
    known = History.from_inspection(load_history(config, lambda _: None))
    answer = resolve(LINES, action, typed, rows)
    ours = [step.id for step in known.between(Action(action), rows, answer["target"])]
    assert ours == answer["steps"] != []


def test_a_repeat_goes_no_further() -> None:
    once = resolve(LINES, "upgrade", "+1", ["bbbb1"])["target"]
    assert resolve(LINES, "upgrade", once, ["bbbb2"])["steps"] == []


@pytest.mark.parametrize(
    ("action", "rows", "typed", "code", "words"),
    [
        ("upgrade", [], "nowhere", "CM-203", "is no revision"),
        ("upgrade", [], "bbbb", "CM-203", "Several revisions begin like 'bbbb'"),
        ("upgrade", [], "head", "CM-203", "could be"),
        ("upgrade", [], "middle@head", "CM-203", "no branch"),
        ("upgrade", [], "left@cccc2", "CM-203", "is no revision"),
        ("upgrade", ["bbbb2"], "+1", "CM-203", "beyond the end"),
        ("upgrade", ["aaaa1"], "+1", "CM-203", "branches on the way"),
        ("upgrade", ["bbbb1", "cccc1"], "+1", "CM-203", "bbbb1, cccc1"),
        ("upgrade", ["aaaa1"], "-1", "CM-203", "beyond the end"),
        ("upgrade", [], "base", "CM-203", "not above the base"),
        ("upgrade", [], "'; drop table t --", "CM-203", "is no revision"),
        ("downgrade", ["bbbb2"], "-9", "CM-203", "beyond the end"),
        ("downgrade", ["bbbb2"], "+1", "CM-203", "beyond the end"),
        ("downgrade", [], "-1", "CM-203", "beyond the end"),
        ("downgrade", ["bbbb2", "cccc2"], "-1", "CM-203", "several things"),
        ("downgrade", ["aaaa1"], "bbbb1", "CM-205", "not at or above"),
        ("downgrade", ["bbbb2"], "other@-1", "CM-203", "is no revision"),
    ],
)
def test_a_target_that_means_nothing_certain_is_refused_in_plain_words(
    action: str, rows: list[str], typed: str, code: str, words: str
) -> None:
    with pytest.raises(MigrationRefused) as refusal:
        resolve(LINES, action, typed, rows)
    facts = refusal.value.facts
    assert facts["code"] == code
    assert words in facts["detail"]
    assert str(refusal.value).endswith((".", f"{rows[0]}@{typed}." if rows else "."))
