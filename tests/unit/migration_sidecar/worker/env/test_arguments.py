"""It is noticed whether env.py asks with which command it runs, and what it is told is what Alembic tells."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

import pytest
from alembic.runtime.environment import EnvironmentContext

from migration_sidecar.worker.env.arguments import ArgumentsWatch

WORDS = ["alembic", "-x", "a=b", "upgrade", "head"]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> ArgumentsWatch:
    monkeypatch.setattr(sys, "argv", list(WORDS))
    for name in ("get_revision_argument", "get_starting_revision_argument", "get_tag_argument"):
        monkeypatch.setattr(EnvironmentContext, name, getattr(EnvironmentContext, name))
    return ArgumentsWatch(Namespace(x=["a=b"], cmd=("upgrade", [], []), revision="head", name="alembic"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda watch: watch.options.cmd,
        lambda watch: getattr(watch.options, "tag", None),
        lambda watch: "upgrade" in sys.argv,
        lambda watch: sys.argv[1:],
        lambda watch: list(sys.argv),
    ],
)
def test_a_question_for_the_command_is_noticed(ask: Any, watch: ArgumentsWatch) -> None:
    assert not watch.were_read
    ask(watch)
    assert watch.were_read


def test_what_is_the_same_for_every_command_is_no_such_question(watch: ArgumentsWatch) -> None:
    assert (watch.options.x, watch.options.name, sys.argv[0]) == (["a=b"], "alembic", "alembic")
    assert not watch.were_read


def test_the_answers_are_alembics(watch: ArgumentsWatch) -> None:
    assert (list(sys.argv), watch.options.revision) == (WORDS, "head")
    assert vars(watch.options).keys() == {"x", "cmd", "revision", "name"}
