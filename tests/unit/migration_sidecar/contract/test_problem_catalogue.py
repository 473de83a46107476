"""One table says what belongs to a code; nobody else does."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client.exit_codes import ExitCode
from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS, SECTIONS
from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

ROOT = Path(__file__).resolve().parents[4]
PRODUCT = [file for name in ("coordinator", "migration_sidecar", "services") for file in (ROOT / name).rglob("*.py")]
ALL = [kind for kinds in SECTIONS.values() for kind in kinds]


def subclasses(kind: type[CoordinatorError]) -> Iterator[type[CoordinatorError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_a_code_has_a_title_and_a_whole_sentence_that_says_what_to_do(kind: ProblemKind) -> None:
    assert kind.title[0].isupper() or kind.title.startswith("env.py")
    assert not kind.title.endswith(".")
    assert kind.next_step.endswith((".", "autocommit_block():"))
    assert kind.when
    assert "|" not in kind.when + kind.title + kind.next_step
    assert kind.exit_code in set(ExitCode) - {ExitCode.INTERRUPTED}
    assert kind.status is None or 400 <= kind.status < 600


def test_every_code_and_every_title_is_there_once_in_the_order_of_the_codes() -> None:
    assert [code for code, times in Counter(kind.code for kind in ALL).items() if times > 1] == []
    assert [title for title, times in Counter(kind.title for kind in ALL).items() if times > 1] == []
    assert list(PROBLEM_KINDS) == sorted(PROBLEM_KINDS)


def test_no_title_is_written_anywhere_else() -> None:
    titles = {kind.title for kind in ALL}
    for file in PRODUCT:
        if "problem_catalogue" not in file.parts:
            texts = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
            assert not texts & titles, file


def test_a_site_may_have_a_more_special_next_step_and_never_another_title() -> None:
    general, special = Problem.of("CM-552", "So."), Problem.of("CM-552", "So.", next_step="Do that.")
    assert general.next_step == PROBLEM_KINDS["CM-552"].next_step
    assert (special.next_step, special.title) == ("Do that.", general.title)


@pytest.mark.parametrize("kind", sorted(set(subclasses(CoordinatorError)), key=lambda kind: kind.__name__))
def test_the_exit_code_of_what_the_coordinator_refuses_goes_with_its_status(kind: type[CoordinatorError]) -> None:
    """The command goes by the status, so that it understands a coordinator of a later release too."""
    known = PROBLEM_KINDS[kind.code]
    if kind.code != "CM-701":  # said by the service itself, when it starts
        assert known.exit_code == (3 if (known.status or 500) >= 500 else 2)
