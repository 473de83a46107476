"""What is wrong with what was seen in a trial, measured by bare Alembic and by the right outcome of its case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from tests.environments.reported.case import Case, Right
from tests.environments.reported.project import State
from tests.environments.reported.trial import Seen, Taken


def faults_of(case: Case, bare: Seen, ours: Seen, left_at: State | None) -> list[str]:
    """`left_at` is the right state after a failure, for a case that has to fail."""
    return [*ours.faults, *_steps(case, bare, ours, left_at), *_foreseen(case, ours)]


def _steps(case: Case, bare: Seen, ours: Seen, left_at: State | None) -> Iterator[str]:
    prior = ours.before
    for theirs, taken in zip_longest(bare.taken, ours.taken):
        if taken is None:
            break
        yield from _wording(case, taken)
        if taken.done:
            yield from _done(theirs, taken)
        else:
            # A check that fails changes nothing; a refusal touches nothing; a failure leaves what was said.
            yield from _stopped(case, theirs, taken, left_at or prior)
        prior = taken.state
    if case.right in (Right.REFUSED, Right.FAILS) and ours.taken[-1].done:
        yield f"`{ours.taken[-1].step}` succeeded, and it is right that it is {case.right}"


def _done(theirs: Taken | None, taken: Taken) -> Iterator[str]:
    if theirs is None or not theirs.done:
        yield f"`{taken.step}` succeeded, and bare Alembic fails: {theirs.said[-400:] if theirs else ''}"
    elif taken.state != theirs.state:
        yield f"`{taken.step}` left another database than bare Alembic:\n{theirs.state.difference(taken.state)}"


def _stopped(case: Case, theirs: Taken | None, taken: Taken, right: State) -> Iterator[str]:
    bare_does_it = theirs is not None and theirs.done
    if bare_does_it and (case.right is Right.SAME or taken.step.startswith("alembic ")):
        yield f"`{taken.step}` did not succeed, and bare Alembic does it: {_short(taken.said)}"
    if taken.state != right:
        yield f"`{taken.step}` stopped, and something was left:\n{right.difference(taken.state)}"
    for expression in case.says:
        if not re.search(expression, _line(taken.said), re.IGNORECASE):
            yield f"`{taken.step}` does not say /{expression}/: {_short(taken.said)}"


def _wording(case: Case, taken: Taken) -> Iterator[str]:
    for expression in case.never_says:
        if re.search(expression, _line(taken.said), re.IGNORECASE):
            yield f"`{taken.step}` says /{expression}/: {_short(taken.said)}"


def _foreseen(case: Case, ours: Seen) -> Iterator[str]:
    if case.right is not Right.FAILS and case.plan_foresees and ours.foreseen != ours.taken[0].done:
        sees, does = "no obstacle" if ours.foreseen else "an obstacle", "succeeds" if ours.taken[0].done else "stops"
        yield f"the plan sees {sees}, and `{ours.taken[0].step}` {does}: {_short(ours.taken[0].said)}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    return _line(text)[-700:]
