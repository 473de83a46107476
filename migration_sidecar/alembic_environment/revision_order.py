"""The order in which Alembic goes down through a history, so that a plan shows the real order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass
class _End:
    """An end of one line of the walk, and all revisions at or below it."""

    revision: str
    under: set[str]


def topological_order(
    wanted: Collection[str],
    ends: Iterable[str],
    below: Mapping[str, tuple[str, ...]],
    under: Callable[[Iterable[str]], set[str]],
) -> list[str]:
    """The wanted revisions, newest first: one line as far as possible, then the next.

    The order of keys in `below` is the order in which Alembic loaded the files; it decides between lines. `under`
    returns revisions with all that they build on.
    """
    left = set(wanted)
    place = {revision: number for number, revision in enumerate(below)}
    line_ends = [_End(each, under([each])) for each in sorted(set(ends) & left, key=place.__getitem__)]
    walked: list[str] = []
    at = 0
    while line_ends:
        here = line_ends[at]
        first = next((n for n, end in enumerate(line_ends) if n != at and here.revision in end.under), None)
        if first is not None:
            at = first  # another line builds on this revision, so it must come first
            continue
        if here.revision in left:
            walked.append(here.revision)
            left.remove(here.revision)
        occupied = {end.revision for end in line_ends}
        further = [each for each in below[here.revision] if each in left and each not in occupied]
        if further and len(below[here.revision]) == 1:
            # On a single line only this revision is removed. Computing `under` again would cost more than all the rest.
            here.under.discard(here.revision)
            line_ends[at] = _End(further[0], here.under)
        elif further:
            line_ends[at] = _End(further[0], under(further[:1]))
            line_ends += [_End(each, under([each])) for each in further[1:]]
        else:
            del line_ends[at]
            at = max(at - 1, 0)
    return walked
